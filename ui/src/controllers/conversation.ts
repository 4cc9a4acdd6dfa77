/** One thread on the page: what the user does in it, and what comes of that. Lives on while another thread is shown. */

import type { ProtocolClient } from "../client/client";
import { asError, ServerError } from "../protocol/errors";
import { idempotencyKey } from "../protocol/keys";
import type { StructuredSubmission, Thread, ThreadEvent, UserMessageItem } from "../protocol/wire";
import { addOptimistic, caughtUp, lastUserMessage, pendingCall, pruneAfter, type ThreadState } from "../state/thread";
import { failureOf } from "./failures";
import { localId } from "./ids";
import { ThreadModel } from "./model";
import { inputOf, type OutgoingMessage } from "./outgoing";
import { Pages } from "./pages";
import { type Phase, Turns } from "./turns";

export interface ConversationHost {
  readonly client: ProtocolClient;
  /** Runs a tool of the page; rejects where there is none of that name. */
  runTool(name: string, params: Record<string, unknown>): Promise<unknown>;
  onChange(conversation: Conversation): void;
  onThreadCreated(conversation: Conversation): void;
  onThreadUpdated(conversation: Conversation): void;
  onResponse(phase: "start" | "end", conversation: Conversation): void;
  /** A thread has got its title, after its answer. */
  onTitle(thread: Thread): void;
  /** The thread has changed by this page's doing, so that other tabs that show it are out of date. */
  onTouched(threadId: string): void;
  /** A message is on its way, or has arrived (null); until then it is to survive a reload. */
  onUnsent(message: OutgoingMessage | null, conversation: Conversation): void;
  /** A message that was never sent is given up. */
  onGivenUp(message: OutgoingMessage, conversation: Conversation): void;
  onEffect(name: string, data: Record<string, unknown> | undefined): void;
  onError(error: Error): void;
  onLog(name: string, data?: Record<string, unknown>): void;
}

type Keyed = OutgoingMessage & { key: string };

export class Conversation {
  readonly pages: Pages;
  /** Feedback given on this page, by the id of an answer's last item. */
  readonly feedback = new Map<string, "positive" | "negative">();

  readonly #model: ThreadModel;
  readonly #turns: Turns;
  #loading: Promise<void> = Promise.resolve();
  /** The message that the server may not have. */
  #unsent: Keyed | null = null;

  constructor(
    private readonly host: ConversationHost,
    id: string | null,
  ) {
    this.#model = new ThreadModel(id, () => host.onChange(this));
    this.pages = new Pages(host.client, this.#model, (error) => host.onError(error));
    const turnsHost = {
      client: host.client,
      runTool: (name: string, params: Record<string, unknown>) => host.runTool(name, params),
      onEvent: (event: ThreadEvent) => this.#take(event),
      onEffect: (name: string, data: Record<string, unknown> | undefined) => host.onEffect(name, data),
      onResponse: (phase: "start" | "end") => host.onResponse(phase, this),
      onTitle: (thread: Thread) => host.onTitle(thread),
      onTouched: (threadId: string) => host.onTouched(threadId),
      onIdle: (wasStopped: boolean) => this.#idle(wasStopped),
      onStale: () => this.#refresh(),
      onError: (error: Error) => host.onError(error),
      onLog: (name: string, data?: Record<string, unknown>) => host.onLog(name, data),
    };
    this.#turns = new Turns(turnsHost, this.#model, this.pages);
  }

  /** Null until the server has made the thread. */
  get id(): string | null {
    return this.#model.id;
  }

  get state(): ThreadState {
    return this.#model.state;
  }

  get phase(): Phase {
    return this.#turns.phase;
  }

  get reconnecting(): boolean {
    return this.#turns.reconnecting;
  }

  get isBusy(): boolean {
    return this.#turns.isBusy;
  }

  get isEmpty(): boolean {
    return this.state.items.length === 0;
  }

  /** Whether it is loaded for the first time, so that what is sent would stand before what was said. */
  get isOpening(): boolean {
    return this.pages.loading && !this.pages.loaded;
  }

  /** Whether the server has no such thread, or none for this user. */
  get isGone(): boolean {
    const { loadError } = this.pages;
    return this.state.failure?.code === "not_found" || (loadError !== null && failureOf(loadError).code === "not_found");
  }

  /** Settles when the thread is there, or it is clear that it will not be. */
  get opened(): Promise<unknown> {
    return this.#loading;
  }

  /** Loads the newest items, and attaches to the turn that runs. */
  load(): Promise<void> {
    if (this.id !== null && !this.pages.loading) this.#loading = this.#load(this.id);
    return this.#loading;
  }

  async #load(id: string): Promise<void> {
    if (await this.pages.load(id)) this.#turns.attach();
  }

  /** Asks the server for what has changed without its telling; while a stream runs, at its end. */
  async refresh(): Promise<void> {
    const { pages } = this;
    if (this.id === null || pages.loading || this.#unsent) return;
    // What an action brings comes by its own stream, though nothing shows that it runs.
    this.#turns.isStale = this.#turns.isActive;
    if (this.#turns.isStale) return;
    const asked = this.#turns.count;
    try {
      const fresh = await pages.newest(this.id);
      // What was sent meanwhile is newer than what was asked for.
      if (this.isBusy || asked !== this.#turns.count) return;
      this.#model.state = caughtUp(this.state, fresh);
      pages.loaded = true;
      pages.loadError = null;
    } catch (error) {
      if (error instanceof ServerError && error.status === 404) this.#model.set({ failure: failureOf(error) });
      this.#model.changed();
      throw error;
    }
    this.#model.changed();
    this.#turns.attach();
  }

  #refresh(): void {
    this.refresh().catch((error: unknown) => this.host.onLog("thread.refresh.failed", { message: String(error) }));
  }

  /** Sends a message; the promise resolves when the answer is there, or it is clear that none comes. */
  async send(message: OutgoingMessage): Promise<void> {
    if (this.#unsent) this.dismissFailure();
    const bubble: UserMessageItem = {
      type: "user_message",
      id: localId("message"),
      thread_id: this.id ?? "",
      created_at: new Date().toISOString(),
      content: message.content,
      attachments: message.attachments,
      inference_options: message.inference,
      ...(message.quotedText ? { quoted_text: message.quotedText } : {}),
    };
    this.#model.state = addOptimistic({ ...this.state, notices: [] }, bubble);
    await this.#deliver({ ...message, key: message.key ?? idempotencyKey() });
  }

  async #deliver(message: Keyed): Promise<void> {
    this.#unsent = message;
    this.host.onUnsent(message, this);
    const { key } = message;
    const input = inputOf(message);
    if (this.id === null) await this.#turns.run("threads.create", { input }, { key });
    else await this.#turns.run("threads.add_user_message", { thread_id: this.id, input }, { key });
  }

  /** Asks for another answer to a message; without its id, does again what failed last. */
  async retry(itemId?: string): Promise<void> {
    if (this.isBusy) return;
    if (itemId === undefined && this.#unsent) {
      this.#model.set({ failure: null });
      await this.#deliver(this.#unsent);
      return;
    }
    if (itemId === undefined && this.#turns.resend) {
      await this.#turns.resend();
      return;
    }
    if (this.#unsent) this.dismissFailure();
    const call = itemId === undefined ? pendingCall(this.state.items) : null;
    if (call) return this.#turns.runTool(call);
    const id = itemId ?? lastUserMessage(this.state.items)?.id;
    if (!id || this.id === null) return;
    const before = this.state;
    this.#model.state = pruneAfter(before, id);
    const arrived = await this.#turns.run("threads.retry_after_item", { thread_id: this.id, item_id: id });
    if (!arrived && this.state.failure) {
      // The server has not taken anything away.
      this.#model.state = { ...before, failure: this.state.failure };
      this.#model.changed();
    }
  }

  /** Answers or skips questions. */
  async answer(itemId: string, input: StructuredSubmission): Promise<void> {
    if (this.id === null) return;
    await this.#turns.run("threads.add_structured_input", { thread_id: this.id, item_id: itemId, input }, { key: idempotencyKey(), canResend: true });
  }

  /** Sends an action of a widget or of the page. Rejects where it failed. */
  async act(action: { type: string; payload?: unknown }, itemId: string | null, streaming = true, onArrival?: () => void): Promise<void> {
    if (this.id === null) throw new Error("An action needs a thread; there is none yet.");
    const params = { thread_id: this.id, action, ...(itemId === null ? {} : { item_id: itemId }) };
    if (streaming) {
      const options = { quiet: true, key: idempotencyKey(), canResend: true, ...(onArrival ? { onArrival } : {}) };
      await this.#turns.run("threads.custom_action", params, options);
      if (this.state.failure) throw new Error(this.state.failure.message ?? this.state.failure.code);
      return;
    }
    const { updated_item: item } = await this.host.client.call("threads.sync_custom_action", params);
    if (item) this.#model.apply({ type: "thread.item.replaced", item });
  }

  /** Sends feedback, once of a kind; rejects where the server did not take it. */
  async giveFeedback(itemIds: string[], kind: "positive" | "negative"): Promise<void> {
    const key = itemIds.at(-1);
    if (this.id === null || key === undefined || this.feedback.get(key) === kind) return;
    const before = this.feedback.get(key);
    this.feedback.set(key, kind);
    this.#model.changed();
    try {
      await this.host.client.call("items.feedback", { thread_id: this.id, item_ids: itemIds, kind });
    } catch (error) {
      if (before) this.feedback.set(key, before);
      else this.feedback.delete(key);
      this.host.onError(asError(error));
      this.#model.changed();
      throw error;
    }
  }

  /** Ends the answer; what is there of it stays. */
  stop(): Promise<void> {
    return this.#turns.stop();
  }

  /** Ends all connections without stopping the turns, for the page is done with this. */
  detach(): void {
    this.#turns.cut();
  }

  /** Takes in that the thread has another title. */
  rename(title: string): void {
    if (this.state.thread) this.#model.set({ thread: { ...this.state.thread, title } });
    this.#model.changed();
  }

  dismissNotice(key: number): void {
    this.#model.set({ notices: this.state.notices.filter((notice) => notice.key !== key) });
    this.#model.changed();
  }

  dismissFailure(): void {
    const message = this.#unsent;
    if (message) {
      const { optimisticId, items } = this.state;
      this.#arrived();
      this.#model.set({ optimisticId: null, items: items.filter((item) => item.id !== optimisticId) });
    }
    this.#turns.resend = null;
    this.#model.set({ failure: null });
    if (message) this.host.onGivenUp(message, this);
    this.#model.changed();
  }

  #take(event: ThreadEvent): void {
    this.#model.apply(event);
    if (event.type === "thread.created" && this.id === null) {
      this.#model.id = event.thread.id;
      this.host.onThreadCreated(this);
    } else if (event.type === "thread.created" || event.type === "thread.updated") {
      // A worker that takes a turn over may tell of the thread's creation once more, with what changed since.
      this.host.onThreadUpdated(this);
    }
    if (this.#unsent && this.state.optimisticId === null) this.#arrived();
  }

  /** There is no message any more that the server may not have. */
  #arrived(): void {
    this.#unsent = null;
    this.host.onUnsent(null, this);
  }

  /** Takes back a message that was stopped before the server had said that it has it. */
  #idle(wasStopped: boolean): boolean {
    const isTakenBack = wasStopped && this.#unsent !== null;
    if (isTakenBack) this.dismissFailure();
    return isTakenBack;
  }
}
