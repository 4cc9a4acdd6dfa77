/** What updates make of an item. Pure: an item that was handed in is never changed. */

import type { AssistantMessageItem, GeneratedImageItem, Item, ItemUpdate, WidgetComponent, WidgetItem, WorkflowItem } from "../protocol/wire";

/** An update does not fit its item. The item's final state still comes with `thread.item.done`. */
export class UnfitUpdate extends Error {
  override readonly name = "UnfitUpdate";
}

/** Returns an item with an update applied, at the cost of the update and not of the item. */
export function reduceItem(item: Item, update: ItemUpdate): Item {
  if (item.type === "assistant_message" && update.type.startsWith("assistant_message.")) return reduceMessage(item, update);
  if (item.type === "widget" && update.type.startsWith("widget.")) return reduceWidget(item, update);
  if (item.type === "workflow" && update.type.startsWith("workflow.")) return reduceWorkflow(item, update);
  if (item.type === "generated_image" && update.type === "generated_image.updated") {
    const next: GeneratedImageItem = { ...item, image: update.image };
    if (update.progress !== undefined) next.progress = update.progress;
    return next;
  }
  throw new UnfitUpdate(`Item ${item.id} is of type ${item.type} and takes no update ${update.type}.`);
}

function checkIndex(name: string, index: number, end: number): void {
  if (!(Number.isInteger(index) && index >= 0 && index <= end)) {
    throw new UnfitUpdate(`${name} ${index} must be from 0 to ${end}.`);
  }
}

function reduceMessage(item: AssistantMessageItem, update: ItemUpdate): Item {
  const content = item.content.slice();
  switch (update.type) {
    case "assistant_message.content_part.added":
    case "assistant_message.content_part.done":
      checkIndex("content_index", update.content_index, content.length);
      content[update.content_index] = { ...update.content, annotations: update.content.annotations ?? [] };
      break;
    case "assistant_message.content_part.text_delta": {
      const part = partAt(content, update.content_index);
      content[update.content_index] = { ...part, text: part.text + update.delta };
      break;
    }
    case "assistant_message.content_part.annotation_added": {
      const part = partAt(content, update.content_index);
      const there = part.annotations ?? [];
      checkIndex("annotation_index", update.annotation_index, there.length);
      const annotations = there.toSpliced(update.annotation_index, 0, update.annotation);
      content[update.content_index] = { ...part, annotations };
      break;
    }
    default:
      throw new UnfitUpdate(`Messages take no update ${update.type}.`);
  }
  return { ...item, content };
}

/** The part at an index; an agent's stream may leave out that a part begins. */
function partAt(content: AssistantMessageItem["content"], index: number): AssistantMessageItem["content"][number] {
  checkIndex("content_index", index, content.length);
  return content[index] ?? { type: "output_text", text: "", annotations: [] };
}

function reduceWorkflow(item: WorkflowItem, update: ItemUpdate): Item {
  const { tasks } = item.workflow;
  if (update.type === "workflow.task.added") {
    checkIndex("task_index", update.task_index, tasks.length);
    return { ...item, workflow: { ...item.workflow, tasks: tasks.toSpliced(update.task_index, 0, update.task) } };
  }
  if (update.type === "workflow.task.updated") {
    checkIndex("task_index", update.task_index, tasks.length - 1);
    return { ...item, workflow: { ...item.workflow, tasks: tasks.with(update.task_index, update.task) } };
  }
  throw new UnfitUpdate(`Workflows take no update ${update.type}.`);
}

function reduceWidget(item: WidgetItem, update: ItemUpdate): Item {
  switch (update.type) {
    case "widget.root.updated":
      return { ...item, widget: update.widget };
    case "widget.component.updated":
      return { ...item, widget: changed(item.widget, update.component_id, () => update.component) };
    case "widget.streaming_text.value_delta":
      return {
        ...item,
        widget: changed(item.widget, update.component_id, (component) => {
          const value = component.value ?? "";
          if ((component.type !== "Text" && component.type !== "Markdown") || typeof value !== "string") {
            throw new UnfitUpdate(`Component ${update.component_id} is a ${component.type}, which takes no text.`);
          }
          return { ...component, value: value + update.delta };
        }),
      };
    default:
      throw new UnfitUpdate(`Widgets take no update ${update.type}.`);
  }
}

type Change = (component: WidgetComponent) => WidgetComponent;

function changed(root: WidgetComponent, id: string, change: Change): WidgetComponent {
  const result = changedBelow(root, id, change);
  if (result === null) throw new UnfitUpdate(`The widget has no component ${id}.`);
  return result;
}

/** The component with the first one of that id changed; null where there is none. What is not on the way stays the same object. */
function changedBelow(component: WidgetComponent, id: string, change: Change): WidgetComponent | null {
  if (component.id === id) return change(component);
  const { children } = component;
  if (Array.isArray(children)) {
    for (const [index, child] of children.entries()) {
      if (!isComponent(child)) continue;
      const found = changedBelow(child, id, change);
      if (found !== null) return { ...component, children: children.with(index, found) };
    }
  } else if (isComponent(children)) {
    const found = changedBelow(children, id, change);
    if (found !== null) return { ...component, children: found };
  }
  return null;
}

function isComponent(value: unknown): value is WidgetComponent {
  return typeof value === "object" && value !== null;
}
