/** What the user is about to send: a draft for each thread, uploads, the chosen tool and model. */

import type { Attachment, ChatKitOptions, Entity, ModelOption, ToolOption } from "@openai/chatkit";
import { DEFAULT_MAX_COUNT, isAccepted, maxSizeOf, mediaTypeOf } from "./files";
import type { ProtocolClient } from "../client/client";
import type { ApiOption, Endpoint } from "../client/endpoint";
import { asError, isAbort, ServerError } from "../protocol/errors";
import { upload } from "../client/uploads";
import type { InferenceOptions, TagContent, UserContent, UserMessageItem, WireAttachment } from "../protocol/wire";
import type { OutgoingMessage } from "./outgoing";
import { failureOf, textOfFailure } from "./failures";
import { before, type Draft, type DraftAttachment, Drafts, entryOf, identity, NOTHING, uploaded, withPreview } from "./drafts";
import { contentOf, textOf, tokenOf } from "./mentions";

/** Codes of failures that have nothing to do with the file. */
const ADMISSION: ReadonlySet<string> = new Set(["client_secret", "unauthorized", "rate_limited"]);

export interface ComposerHost {
  readonly client: ProtocolClient;
  readonly options: ChatKitOptions;
  readonly endpoint: Endpoint;
  readonly threadId: string | null;
  readonly locale: string;
  translate(key: string, args?: Record<string, string | number>): string;
  formatBytes(bytes: number): string;
  onChange(): void;
  onToolChange(toolId: string | null): void;
  onError(error: Error): void;
  announce(text: string): void;
}

export class Composer {
  toolId: string | null = null;
  /** What is wrong with the files that were just picked. */
  complaints: string[] = [];

  #modelId: string | null = null;
  readonly #drafts: Drafts;
  #uploads = new Map<string, AbortController>();

  constructor(private readonly host: ComposerHost) {
    this.#drafts = new Drafts(() => host.endpoint.url);
  }

  get draft(): Draft {
    return this.#drafts.get(this.#threadId);
  }

  get tool(): ToolOption | null {
    return this.host.options.composer?.tools?.find((tool) => tool.id === this.toolId) ?? null;
  }

  get model(): ModelOption | null {
    const models = this.host.options.composer?.models ?? [];
    const usable = models.filter((model) => !model.disabled);
    return usable.find((model) => model.id === this.#modelId) ?? usable.find((model) => model.default) ?? usable[0] ?? null;
  }

  /** The chosen tool and model, as the protocol spells them. */
  get inference(): InferenceOptions {
    const { tool, model } = this;
    return { ...(tool ? { tool_choice: { id: tool.id } } : {}), ...(model ? { model: model.id } : {}) };
  }

  get canSend(): boolean {
    const { text, attachments } = this.draft;
    if (attachments.some((attachment) => attachment.state !== "ready")) return false;
    return text.trim() !== "" || attachments.length > 0;
  }

  get takesFiles(): boolean {
    const { api, composer } = this.host.options;
    // Direct uploads go to a server of the page's own.
    const isDirect = (api as ApiOption).uploadStrategy?.type === "direct";
    return (composer?.attachments?.enabled ?? false) && (isDirect || this.host.client.can("uploads"));
  }

  get takesSpeech(): boolean {
    return (this.host.options.composer?.dictation?.enabled ?? false) && this.host.client.can("transcription");
  }

  edit(change: Partial<Draft>): void {
    this.#drafts.set(this.#threadId, { ...this.draft, ...change });
    this.host.onChange();
  }

  /** Puts an entity in place of the text from `start` to `end`; returns where the caret belongs. */
  insertEntity(entity: Entity, start: number, end: number): number {
    const tag: TagContent = {
      type: "input_tag",
      id: entity.id,
      text: entity.title,
      data: entity.data ?? {},
      ...(entity.group ? { group: entity.group } : {}),
      ...(entity.interactive ? { interactive: true } : {}),
    };
    const { text, tags } = this.draft;
    const written = `${tokenOf(tag)} `;
    this.edit({ text: text.slice(0, start) + written + text.slice(end), tags: [...tags.filter((known) => known.id !== tag.id), tag] });
    return start + written.length;
  }

  selectTool(id: string | null): void {
    if (this.toolId === id) return;
    this.toolId = id;
    this.host.onToolChange(id);
    this.host.onChange();
  }

  selectModel(id: string | null): void {
    this.#modelId = id;
    this.host.onChange();
  }

  /** Takes away what is to be sent and returns it. */
  take(): OutgoingMessage {
    const { text, tags, quote, attachments, sent } = this.draft;
    const { tool } = this;
    const taken: OutgoingMessage = {
      content: contentOf(text, tags),
      attachments: attachments.flatMap((entry) => (entry.attachment ? [withPreview(entry, entry.attachment)] : [])),
      quotedText: quote,
      inference: this.inference,
    };
    // The server refuses a key that comes with anything else than before.
    const isSame = sent?.as === identity(taken);
    const message = sent && isSame ? { ...taken, key: sent.key, inference: sent.inference } : taken;
    this.complaints = [];
    this.#drafts.set(this.#threadId, NOTHING);
    if (tool && !tool.persistent) this.selectTool(null);
    return message;
  }

  /** Puts a message back that was taken and not sent, before what has been written in its thread since. */
  restore(message: OutgoingMessage, threadId: string): void {
    const { sent: _, ...draft } = before(message, this.#drafts.get(threadId));
    this.#drafts.set(threadId, draft);
    this.host.onChange();
  }

  /** Keeps a message that is on its way, so that a reload of the page does not lose it; null once it has arrived. */
  keepUnsent(message: OutgoingMessage | null, threadId: string): void {
    this.#drafts.keepUnsent(threadId, message);
  }

  /** Takes a message back out of the composer that was put there after a reload, and that the server had all the same. */
  forgetSent(threadId: string, { content, attachments, quoted_text }: UserMessageItem): void {
    const { sent } = this.#drafts.get(threadId);
    const stored = identity({ content, attachments: attachments ?? [], quotedText: quoted_text ?? null, inference: {} });
    if (sent?.as !== stored) return;
    this.#drafts.set(threadId, NOTHING);
    this.host.onChange();
  }

  /** Forgets what was written in all threads, and ends uploads. */
  clear(): void {
    for (const upload of this.#uploads.values()) upload.abort();
    this.complaints = [];
    this.#modelId = null;
    this.selectTool(null);
    this.#drafts.clear();
    this.host.onChange();
  }

  /** Takes what was written in one thread along to another; a new one has the empty id. */
  moveDraft(from: string, to: string): void {
    this.#drafts.move(from, to);
  }

  /** Says what could not be done, where the user looks. */
  complain(text: string): void {
    this.complaints = [text];
    this.host.onChange();
  }

  /** Puts content into the composer, in place of what is named. */
  setValue(value: {
    text?: string | undefined;
    content?: UserContent[] | undefined;
    reply?: string | undefined;
    attachments?: Attachment[] | undefined;
  }): void {
    const change: Partial<Draft> = {};
    if (value.content) Object.assign(change, textOf(value.content));
    else if (value.text !== undefined) Object.assign(change, { text: value.text, tags: [] });
    if (value.reply !== undefined) change.quote = value.reply || null;
    if (value.attachments) change.attachments = value.attachments.map(uploaded);
    this.edit(change);
  }

  /** Checks and uploads files; what cannot be taken is said in `complaints`. */
  addFiles(files: readonly File[]): void {
    const option = this.host.options.composer?.attachments;
    if (!this.takesFiles || !option) return;
    this.complaints = [];
    const room = (option.maxCount ?? DEFAULT_MAX_COUNT) - this.draft.attachments.length;
    const taken: File[] = [];
    for (const file of files) {
      const type = mediaTypeOf(option.accept, file);
      const limit = maxSizeOf(option.maxSize, type);
      if (!isAccepted(option.accept, file)) this.#complain("attachment.notAccepted", { name: file.name });
      else if (file.size > limit) this.#complain("attachment.tooLarge", { name: file.name, size: this.host.formatBytes(limit) });
      else if (file.size === 0) this.#complain("attachment.empty", { name: file.name });
      else taken.push(type === file.type ? file : new File([file], file.name, { type, lastModified: file.lastModified }));
    }
    if (taken.length > room) this.#complain("attachment.tooMany", { count: option.maxCount ?? DEFAULT_MAX_COUNT });
    const entries = taken.slice(0, Math.max(0, room)).map(entryOf);
    this.edit({ attachments: [...this.draft.attachments, ...entries] });
    for (const entry of entries) void this.#upload(entry.key);
  }

  retryUpload(key: string): void {
    void this.#upload(key);
  }

  /** Takes an attachment away; an upload that runs is cancelled, and what the server has of it is deleted. */
  removeAttachment(key: string): void {
    const entry = this.#drafts.attachment(key);
    if (!entry) return;
    this.#uploads.get(key)?.abort();
    if (entry.file && entry.preview) URL.revokeObjectURL(entry.preview);
    this.#drafts.change(key, null);
    if (entry.attachment && entry.file) this.#deleteThere(entry.attachment.id);
    this.host.onChange();
  }

  dismissComplaints(): void {
    this.complaints = [];
    this.host.onChange();
  }

  #complain(key: string, args: Record<string, string | number>): void {
    this.complaints.push(this.host.translate(key, args));
  }

  async #upload(key: string): Promise<void> {
    const entry = this.#drafts.attachment(key);
    if (!entry?.file) return;
    const abort = new AbortController();
    this.#uploads.set(key, abort);
    this.#change(key, { state: "uploading", error: null, progress: null });
    let created: WireAttachment | null = null;
    try {
      const attachment = await upload(entry.file, {
        client: this.host.client,
        endpoint: this.host.endpoint,
        strategy: (this.host.options.api as ApiOption).uploadStrategy,
        signal: abort.signal,
        onProgress: (progress) => this.#change(key, { progress }),
        onCreated: (told) => {
          created = told;
        },
      });
      this.#change(key, { state: "ready", progress: 1, attachment });
      this.host.announce(this.host.translate("attachment.ready", { name: entry.name }));
    } catch (error) {
      if (created !== null) this.#deleteThere((created as WireAttachment).id);
      if (isAbort(error) || abort.signal.aborted) return;
      const told = asError(error);
      this.host.onError(told);
      const failed = this.host.translate("attachment.failed", { name: entry.name });
      const failure = failureOf(told);
      const reason = ADMISSION.has(failure.code) ? textOfFailure(failure, this.host) : told instanceof ServerError ? told.words : null;
      this.#change(key, { state: "failed", error: reason ?? failed });
      this.host.announce(failed);
    } finally {
      this.#uploads.delete(key);
    }
  }

  #deleteThere(id: string): void {
    this.host.client.call("attachments.delete", { attachment_id: id }).catch((error: unknown) => this.host.onError(asError(error)));
  }

  #change(key: string, change: Partial<DraftAttachment>): void {
    this.#drafts.change(key, change);
    this.host.onChange();
  }

  get #threadId(): string {
    return this.host.threadId ?? "";
  }
}
