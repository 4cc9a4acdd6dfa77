/** The wire protocol as the element needs it: what goes over the one endpoint. Unknown fields travel along. */

export interface TextContent {
  type: "input_text";
  text: string;
}

export interface TagContent {
  type: "input_tag";
  id: string;
  text: string;
  data: Record<string, unknown>;
  group?: string | null;
  interactive?: boolean;
}

export type UserContent = TextContent | TagContent;

export interface InferenceOptions {
  tool_choice?: { id: string } | null;
  model?: string | null;
}

export interface UserMessageInput {
  content: UserContent[];
  attachments: string[];
  quoted_text?: string | null;
  inference_options: InferenceOptions;
}

export interface UploadDescriptor {
  url: string;
  method: "POST" | "PUT";
  headers?: Record<string, string>;
}

export interface WireAttachment {
  type: "file" | "image";
  id: string;
  name: string;
  mime_type: string;
  preview_url?: string | null;
  upload_descriptor?: UploadDescriptor | null;
}

export interface Annotation {
  type: "annotation";
  source: Record<string, unknown> & { type: "url" | "file" | "entity"; title: string };
  index?: number | null;
}

export interface AssistantContent {
  type: "output_text";
  text: string;
  annotations: Annotation[];
}

interface ItemBase {
  id: string;
  thread_id: string;
  created_at: string;
}

export interface UserMessageItem extends ItemBase {
  type: "user_message";
  content: UserContent[];
  attachments?: WireAttachment[];
  quoted_text?: string | null;
  inference_options?: InferenceOptions;
}

export interface AssistantMessageItem extends ItemBase {
  type: "assistant_message";
  content: AssistantContent[];
}

export interface ClientToolCallItem extends ItemBase {
  type: "client_tool_call";
  status: "pending" | "completed";
  call_id: string;
  name: string;
  arguments: Record<string, unknown>;
  output?: unknown;
}

export interface WidgetComponent {
  type: string;
  id?: string | null;
  value?: string;
  children?: WidgetComponent | WidgetComponent[] | null;
  [field: string]: unknown;
}

export interface WidgetItem extends ItemBase {
  type: "widget";
  widget: WidgetComponent;
  copy_text?: string | null;
}

export interface GeneratedImage {
  id: string;
  url: string;
}

export interface GeneratedImageItem extends ItemBase {
  type: "generated_image";
  image?: GeneratedImage | null;
  /** From 0 to 1 while the picture is made; never stored. */
  progress?: number | null;
}

export interface StructuredAnswer {
  values: string[];
  skipped: boolean;
}

export interface StructuredQuestion {
  type: "multiple_choice" | "freeform";
  id: string;
  question: string;
  description?: string | null;
  multiple?: boolean;
  options?: { value: string }[];
  answer?: Partial<StructuredAnswer> | null;
}

export interface StructuredInputItem extends ItemBase {
  type: "structured_input";
  status: "pending" | "answered" | "skipped";
  inputs: StructuredQuestion[];
}

export interface WorkflowTask {
  type: string;
  status_indicator?: "none" | "loading" | "complete";
  [field: string]: unknown;
}

export interface Workflow {
  type: "custom" | "reasoning";
  tasks: WorkflowTask[];
  summary?: Record<string, unknown> | null;
  expanded?: boolean;
}

export interface WorkflowItem extends ItemBase {
  type: "workflow";
  workflow: Workflow;
}

export interface TaskItem extends ItemBase {
  type: "task";
  task: WorkflowTask;
}

export interface EndOfTurnItem extends ItemBase {
  type: "end_of_turn";
}

export type Item =
  | UserMessageItem
  | AssistantMessageItem
  | ClientToolCallItem
  | WidgetItem
  | GeneratedImageItem
  | StructuredInputItem
  | WorkflowItem
  | TaskItem
  | EndOfTurnItem;

export interface Page<T> {
  data: T[];
  has_more?: boolean;
  after?: string | null;
}

export interface ThreadStatus {
  type: "active" | "locked" | "closed";
  reason?: string | null;
}

export interface Thread {
  id: string;
  title?: string | null;
  created_at: string;
  status?: ThreadStatus;
  allowed_image_domains?: string[] | null;
  items?: Page<Item>;
  /** Told by `threads.get_by_id` while a turn runs. */
  active_turn?: { id: string } | null;
}

/** Pairs of the first character and the one after the last, counted in code points. */
export type Ranges = readonly (readonly [number, number])[];

export interface FoundItem {
  id: string;
  type: "user_message" | "assistant_message";
  created_at: string;
  text: string;
  ranges: Ranges;
}

/** A thread that was found, by its title or by some of its items, of which the best are told. */
export interface FoundThread {
  thread: Thread;
  title_ranges: Ranges;
  items: readonly FoundItem[];
  item_count: number;
}

export type ItemUpdate =
  | { type: "assistant_message.content_part.added"; content_index: number; content: AssistantContent }
  | { type: "assistant_message.content_part.text_delta"; content_index: number; delta: string }
  | {
      type: "assistant_message.content_part.annotation_added";
      content_index: number;
      annotation_index: number;
      annotation: Annotation;
    }
  | { type: "assistant_message.content_part.done"; content_index: number; content: AssistantContent }
  | { type: "widget.root.updated"; widget: WidgetComponent }
  | { type: "widget.component.updated"; component_id: string; component: WidgetComponent }
  | { type: "widget.streaming_text.value_delta"; component_id: string; delta: string; done: boolean }
  | { type: "workflow.task.added"; task_index: number; task: WorkflowTask }
  | { type: "workflow.task.updated"; task_index: number; task: WorkflowTask }
  | { type: "generated_image.updated"; image: GeneratedImage; progress?: number | null };

export type ThreadEvent =
  | { type: "thread.created"; thread: Thread }
  | { type: "thread.updated"; thread: Thread }
  | { type: "thread.item.added"; item: Item }
  | { type: "thread.item.updated"; item_id: string; update: ItemUpdate }
  | { type: "thread.item.done"; item: Item; added_id?: string }
  | { type: "thread.item.replaced"; item: Item; added_id?: string }
  | { type: "thread.item.removed"; item_id: string }
  | { type: "stream_options"; stream_options: { allow_cancel: boolean } }
  | { type: "progress_update"; text: string; icon?: string | null }
  | { type: "client_effect"; name: string; data?: Record<string, unknown> }
  | { type: "error"; code: string; message?: string | null; allow_retry?: boolean; reason?: string | null }
  | { type: "notice"; level: "info" | "warning" | "danger"; message: string; title?: string | null };

/** Events that say something once: a state that is sent a second time holds them a second time. */
export const SAID_ONCE: ReadonlySet<ThreadEvent["type"]> = new Set(["client_effect", "notice", "error"]);

export type TurnStatus = "completed" | "stopped" | "failed" | "interrupted";

export interface StructuredSubmission {
  status: "answered" | "skipped";
  answers: Record<string, StructuredAnswer>;
}

/** What a server can do. Of what is left out nothing is known, as with openai-chatkit 1.6.5, which leaves out all. */
export interface Capabilities {
  transcription?: boolean;
  uploads?: boolean;
  search?: boolean;
  branches?: boolean;
  approvals?: boolean;
  resume?: boolean;
  stop?: boolean;
}

/** Each request type with its parameters. */
export interface RequestParams {
  "threads.create": { input: UserMessageInput };
  "threads.add_user_message": { thread_id: string; input: UserMessageInput };
  "threads.retry_after_item": { thread_id: string; item_id: string };
  "threads.add_client_tool_output": { thread_id: string; result: unknown };
  "threads.add_structured_input": { thread_id: string; item_id: string; input: StructuredSubmission };
  "threads.custom_action": { thread_id: string; item_id?: string | null; action: { type: string; payload?: unknown } };
  "threads.sync_custom_action": { thread_id: string; item_id?: string | null; action: { type: string; payload?: unknown } };
  "threads.get_by_id": { thread_id: string };
  "threads.list": { limit?: number; order?: "asc" | "desc"; after?: string | null; capabilities?: true };
  "threads.update": { thread_id: string; title: string };
  "threads.delete": { thread_id: string };
  "threads.search": { query: string; limit?: number; after?: string | null };
  "items.list": { thread_id: string; limit?: number; order?: "asc" | "desc"; after?: string | null };
  "items.feedback": { thread_id: string; item_ids: string[]; kind: "positive" | "negative" };
  "attachments.create": { name: string; size: number; mime_type: string };
  "attachments.delete": { attachment_id: string };
  "input.transcribe": { audio_base64: string; mime_type: string };
  "turns.stop": { thread_id: string; turn_id?: string };
  "turns.resume": { thread_id: string; after?: string };
}

/** The answers of requests that do not stream. */
export interface Answers {
  "threads.sync_custom_action": { updated_item?: WidgetItem | null };
  "threads.get_by_id": Thread;
  "threads.list": Page<Thread> & { capabilities?: Capabilities | null };
  "threads.update": Thread;
  "threads.delete": unknown;
  "threads.search": Page<FoundThread> & { complete?: boolean };
  "items.list": Page<Item>;
  "items.feedback": unknown;
  "attachments.create": WireAttachment;
  "attachments.delete": unknown;
  "input.transcribe": { text: string };
  "turns.stop": { stopped: string[] };
}

export type StreamingType = Exclude<keyof RequestParams, keyof Answers>;
