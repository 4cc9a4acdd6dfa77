/** `<ck-widget>`: a widget of the protocol, with its forms and actions. */

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";

import type { WidgetAction, WidgetHost } from "../contracts";
import "../content/icon";
import { defaultHost } from "../content/strings";
import { base } from "../content/tokens";
import { type Bound, type Loading, loadingOf, readAction, withValues } from "./actions";
import { blockStyles } from "./sizes";
import { styled } from "../content/styled";
import { renderButton, renderCheckbox, renderDatePicker, renderInput, renderRadioGroup, renderSelect, renderTextarea } from "./controls";
import { DEEPEST, renderChildren, type Room, type WidgetContext } from "./context";
import { pause } from "../content/queue";
import { collectValues } from "./forms";
import { renderBox, renderDivider, renderForm, renderImage, renderSpacer, renderTable, renderTransition } from "./layout";
import { renderBasic, renderCard, renderListView, renderListViewItem } from "./roots";
import { renderBadge, renderCaption, renderIcon, renderLabel, renderMarkdown, renderText, renderTitle } from "./texts";
import { childrenOf, isNode, text, type WidgetNode } from "./types";
import { widgetStyles } from "./styles";
import { StyledElement } from "../content/styledElement";

type Shown = TemplateResult | typeof nothing;
type Renderer = (node: WidgetNode, context: WidgetContext) => Shown;

const silentHost: WidgetHost = { ...defaultHost, onAction: () => Promise.resolve() };

function renderChart(node: WidgetNode, context: WidgetContext): Shown {
  const sized = ["height", "size", "minHeight", "minSize", "aspectRatio", "flex"].some((field) => node[field] !== undefined && node[field] !== null);
  const styles = { ...(sized ? {} : { height: "220px" }), ...blockStyles(node) };
  return html`<div class="chart" style=${styled(styles)}><ck-chart .chart=${node} .host=${context.host}></ck-chart></div>`;
}

const RENDERERS: Readonly<Record<string, Renderer>> = {
  Badge: renderBadge,
  Basic: renderBasic,
  Box: renderBox,
  Button: renderButton,
  Caption: renderCaption,
  Card: renderCard,
  Chart: renderChart,
  Checkbox: renderCheckbox,
  Col: renderBox,
  DatePicker: renderDatePicker,
  Divider: renderDivider,
  Form: renderForm,
  Icon: renderIcon,
  Image: renderImage,
  Input: renderInput,
  Label: renderLabel,
  ListView: renderListView,
  ListViewItem: renderListViewItem,
  Markdown: renderMarkdown,
  RadioGroup: renderRadioGroup,
  Row: renderBox,
  Select: renderSelect,
  Spacer: renderSpacer,
  Table: renderTable,
  Text: renderText,
  Textarea: renderTextarea,
  Title: renderTitle,
  Transition: renderTransition,
};

/** Names of all components that a widget may hold, parts of a table included. */
export const componentNames: readonly string[] = [...Object.keys(RENDERERS), "Table.Row", "Table.Cell"];

/** Components that one task of the page adds, and that are shown without being asked for. */
const AT_ONCE = 300;
const UNASKED = 3_000;
/** Components that are looked at for labels and charts. */
const MOST_VISITED = 20_000;

function walk(root: WidgetNode, visit: (node: WidgetNode) => void): void {
  const waiting = [root];
  for (let count = 0; waiting.length > 0 && count < MOST_VISITED; count += 1) {
    const node = waiting.pop()!;
    visit(node);
    for (const child of childrenOf(node)) waiting.push(child);
  }
}

function active(root: Document | ShadowRoot): Element | null {
  return root.activeElement;
}

/**
 * Shows a widget.
 *
 * Every change of `widget` updates what is there: controls keep their elements, their focus and what was typed, as long
 * as their key, id or place stays the same. Actions go to `host.onAction`; while one runs, what `loadingBehavior` names
 * waits, and a rejection ends the waiting and is told to the user.
 */
export class CkWidget extends StyledElement {
  static override properties = {
    widget: { attribute: false },
    itemId: { attribute: false },
    disabled: { type: Boolean },
    active: { type: Boolean },
    host: { attribute: false },
    failed: { state: true },
  };
  static override styles = [base, widgetStyles];

  declare widget: unknown;
  /** Id of the thread item, for actions; null where the widget belongs to none, as in previews. */
  declare itemId: string | null;
  /** Nothing can be used, as in a thread that is locked. */
  declare disabled: boolean;
  /** The item still streams in; once it is done no text grows any more, whatever the widget says. */
  declare active: boolean;
  declare host: WidgetHost | null;
  declare failed: boolean;

  readonly #pending = new Map<string, number>();
  readonly #toggled = new Map<string, boolean>();
  readonly #logged = new Set<string>();
  #waiting = 0;
  #focused: HTMLElement | null = null;
  #labelled: ReadonlySet<string> = new Set();
  #limit = AT_ONCE;
  #asked = UNASKED;
  #room: Room = { left: 0, isFull: false };

  constructor() {
    super();
    this.widget = null;
    this.itemId = null;
    this.disabled = false;
    this.active = false;
    this.host = null;
    this.failed = false;
  }

  get #host(): WidgetHost {
    return this.host ?? silentHost;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (!changed.has("widget") || !isNode(this.widget)) return;
    // What has changed since does not tell of an action that failed before.
    if (changed.get("widget")) this.failed = false;
    const labelled = new Set<string>();
    let charts = false;
    walk(this.widget, (node) => {
      if (node.type === "Label") labelled.add(text(node["fieldName"]));
      if (node.type === "Chart") charts = true;
    });
    this.#labelled = labelled;
    if (charts) void import("./chart").catch(() => this.#host.onLog("chart.unavailable"));
  }

  readonly #render = (node: WidgetNode, context: WidgetContext): Shown => {
    try {
      return this.#renderNode(node, context.depth >= DEEPEST ? null : { ...context, depth: context.depth + 1 });
    } catch (error) {
      this.#host.onLog("widget.renderFailed", { type: node.type, message: String(error) });
      return html`<div class="unknown">${this.#host.translate("widget.failedPart")}</div>`;
    }
  };

  #renderNode(node: WidgetNode, context: WidgetContext | null): Shown {
    if (!context) return html`<div class="unknown">${this.#host.translate("widget.failedPart")}</div>`;
    const renderer = Object.hasOwn(RENDERERS, node.type) ? RENDERERS[node.type] : undefined;
    if (renderer) return renderer(node, context);
    if (!this.#logged.has(node.type)) {
      this.#logged.add(node.type);
      this.#host.onLog("widget.unknown", { type: node.type });
    }
    return html`<div class="box col">${renderChildren(node, context)}</div>`;
  }

  #context(root: WidgetNode): WidgetContext {
    this.#room = { left: this.#limit, isFull: false };
    return {
      host: this.#host,
      room: this.#room,
      depth: 0,
      scheme: this.#host.colorScheme,
      more: this.#limit < this.#asked ? undefined : () => {
        this.#asked = this.#limit + UNASKED;
        this.#limit += AT_ONCE;
        this.requestUpdate();
      },
      active: this.active,
      path: root.type,
      form: "",
      labelled: this.#labelled,
      isPending: (path) => this.#pending.has(path),
      run: (action, bound, path, origin) => {
        void this.#run(action, bound, path, origin);
      },
      render: this.#render,
      toggled: (path) => this.#toggled.get(path),
      toggle: (path, open) => {
        this.#toggled.set(path, open);
        this.requestUpdate();
      },
    };
  }

  async #run(value: unknown, bound: Bound, path: string, origin: Element): Promise<void> {
    const action = readAction(value);
    if (!action || this.disabled || this.#waiting > 0) return;
    const complete = withValues(action, collectValues(origin));
    const loading = loadingOf(action, bound);
    this.failed = false;
    this.#begin(loading, path);
    try {
      await this.#perform(complete);
    } catch (error) {
      this.failed = true;
      this.#host.onLog("widget.actionFailed", { type: action.type, message: error instanceof Error ? error.message : String(error) });
    } finally {
      this.#end(loading, path);
    }
  }

  async #perform(action: WidgetAction): Promise<void> {
    const onArrival = (): void => {
      this.failed = false;
    };
    await this.#host.onAction(action, { itemId: this.itemId, widget: this.widget, onArrival });
  }

  #begin(loading: Loading, path: string): void {
    if (loading === "none") return;
    this.#pending.set(path, (this.#pending.get(path) ?? 0) + 1);
    if (loading === "container") {
      // What is inert loses the focus: it comes back when the action is done.
      this.#focused = active(this.renderRoot as ShadowRoot) as HTMLElement | null;
      this.#waiting += 1;
    }
    this.requestUpdate();
  }

  #end(loading: Loading, path: string): void {
    if (loading === "none") return;
    const left = (this.#pending.get(path) ?? 1) - 1;
    if (left > 0) this.#pending.set(path, left);
    else this.#pending.delete(path);
    if (loading === "container") this.#waiting -= 1;
    this.requestUpdate();
    const back = this.#focused;
    if (loading === "container" && back && this.#waiting === 0) {
      this.#focused = null;
      void this.updateComplete.then(() => {
        const nobody = document.activeElement === document.body || document.activeElement === null;
        if (back.isConnected && nobody) back.focus({ preventScroll: true });
      });
    }
  }

  /** A large widget is shown in several tasks. */
  protected override updated(): void {
    if (!this.#room.isFull || this.#limit >= this.#asked) return;
    this.#limit += AT_ONCE;
    void pause().then(() => this.requestUpdate());
  }

  protected override firstUpdated(): void {
    const field = this.renderRoot.querySelector<HTMLInputElement>("[data-auto-focus]");
    field?.focus({ preventScroll: true });
    for (const one of this.renderRoot.querySelectorAll<HTMLInputElement>("[data-auto-select]")) {
      one.addEventListener("focus", () => one.select());
    }
    if (field?.dataset["autoSelect"] !== undefined) field.select();
  }

  protected override render(): Shown {
    const { widget } = this;
    const { translate } = this.#host;
    if (!isNode(widget)) return html`<div class="unknown">${translate("widget.unknown")}</div>`;
    const waiting = this.#waiting > 0;
    return html`<div class="widget ${waiting ? "waiting" : ""}" ?inert=${waiting || this.disabled} aria-busy=${waiting ? "true" : nothing}>
        ${this.#render(widget, this.#context(widget))}
      </div>
      <div class="messages" role="status">
        ${this.failed ? html`<p class="failure"><ck-icon name="alert"></ck-icon>${translate("widget.failed")}</p>` : nothing}
        ${this.#pending.size > 0 ? html`<span class="visually-hidden">${translate("widget.loading")}</span>` : nothing}
      </div>`;
  }
}

if (!customElements.get("ck-widget")) customElements.define("ck-widget", CkWidget);

declare global {
  interface HTMLElementTagNameMap {
    "ck-widget": CkWidget;
  }
}
