/** One thread on the page: loads it, sends to it, follows its turns. Lives on while another thread is shown. */

import type { ProtocolClient, StreamPart } from "../protocol/client";
import { asError, isAbort, ServerError } from "../protocol/errors";
import type {
  ClientToolCallItem,
  InferenceOptions,
  RequestParams,
  StreamingType,
  StructuredSubmission,
  ThreadEvent,
  UserContent,
  UserMessageItem,
  WireAttachment,
} from "../protocol/wire";
import {
  addOptimistic, caughtUp, EMPTY, type Failure, hasGrown, lastUserMessage, pendingCall, pruneAfter, reduce, settled, type ThreadState,
  without,
} from "../state/thread";
import { exclusively } from "./exclusive";
import { failureOf, interrupted } from "./failures";
import { idempotencyKey, localId } from "./ids";
import { Pages } from "./pages";
import { rememberStop, resultOf, wasStopped } from "./tools";

export type Phase = "idle" | "sending" | "streaming" | "stopping";

/** A message as the composer hands it over. */
export interface OutgoingMessage {
  content: UserContent[];
  attachments: WireAttachment[];
  quotedText: string | null;
  inference: InferenceOptions;
}

export interface ConversationHost {
  readonly client: ProtocolClient;
  /** Runs a tool of the page; rejects where there is none of that name. */
  runTool(name: string, params: Record<string, unknown>): Promise<unknown>;
  onChange(conversation: Conversation): void;
  onThreadCreated(conversation: Conversation): void;
  onThreadUpdated(conversation: Conversation): void;
  onResponse(phase: "start" | "end", conversation: Conversation): void;
  /** The thread has changed by this page's doing, so that other tabs that show it are out of date. */
  onTouched(threadId: string): void;
  /** A message that was never sent is given up. */
  onGivenUp(message: OutgoingMessage, conversation: Conversation): void;
  onEffect(name: string, data: Record<string, unknown> | undefined): void;
  onError(error: Error): void;
  onLog(name: string, data?: Record<string, unknown>): void;
}

interface Outgoing {
  message: OutgoingMessage;
  key: string;
}

/** How long a stop may take before the connection is cut. */
const STOP_LIMIT = 5000;

export class Conversation {
  state: ThreadState = EMPTY;
  phase: Phase = "idle";
  reconnecting = false;
  loading = false;
  loaded = false;
  loadError: Error | null = null;
  loadingOlder = false;
  /** Why the page before the oldest item is not there; asked for again only where someone wants it. */
  olderError: Error | null = null;
  /** Feedback given on this page, by the id of an answer's last item. */
  readonly feedback = new Map<string, "positive" | "negative">();

  readonly #pages: Pages;
  #loading: Promise<void> = Promise.resolve();
  #unsent: Outgoing | null = null;
  /** Sends an answer again that did not arrive, or an action that failed. */
  #resend: (() => Promise<unknown>) | null = null;
  /** What tools of the page have answered, by the id of the call: when it does not arrive, they are not run again. */
  readonly #results = new Map<string, { value: unknown }>();
  #streams = new Set<AbortController>();
  #stopWanted = false;
  #stopSent = false;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the server was to be asked for news while a stream ran. */
  #isStale = false;
  /** How many streams were begun, to know what is out of date. */
  #requests = 0;
  /** Whether the stream that runs has brought anything yet. */
  #hasHeard = false;

  constructor(
    private readonly host: ConversationHost,
    public id: string | null,
  ) {
    this.loaded = id === null;
    this.#pages = new Pages(host.client);
  }

  get hasOlder(): boolean {
    return this.#pages.hasOlder;
  }

  get isBusy(): boolean {
    return this.phase !== "idle";
  }

  /** Whether it is the page that works, and not the server. */
  get #isRunningTool(): boolean {
    return this.state.pending.size === 0 && pendingCall(this.state.items) !== null;
  }

  get isEmpty(): boolean {
    return this.state.items.length === 0;
  }

  /** Whether it is loaded for the first time, so that what is sent would stand before what was said. */
  get isOpening(): boolean {
    return this.loading && !this.loaded;
  }

  /** Whether the server has no such thread, or none for this user. */
  get isGone(): boolean {
    return this.state.failure?.code === "not_found" || (this.loadError !== null && failureOf(this.loadError).code === "not_found");
  }

  /** Settles when the thread is there, or it is clear that it will not be. */
  get opened(): Promise<unknown> {
    return this.#loading;
  }

  /** Loads the newest items, and attaches to the turn that runs. */
  load(): Promise<void> {
    if (this.id !== null && !this.loading) this.#loading = this.#load(this.id);
    return this.#loading;
  }

  async #load(id: string): Promise<void> {
    this.loading = true;
    this.loadError = null;
    this.#changed();
    try {
      this.state = await this.#pages.newest(id, () => this.state);
      this.loaded = true;
    } catch (error) {
      this.loadError = asError(error);
      this.host.onError(this.loadError);
    } finally {
      this.loading = false;
      this.#changed();
    }
    if (this.loadError === null) this.#attach();
  }

  /** Asks the server for what has changed without its telling; while a stream runs, at its end. */
  async refresh(): Promise<void> {
    if (this.id === null || this.loading || this.#unsent) return;
    // What an action brings comes by its own stream, though nothing shows that it runs.
    this.#isStale = this.isBusy || this.#streams.size > 0;
    if (this.#isStale) return;
    const asked = this.#requests;
    try {
      const fresh = await this.#pages.newest(this.id, () => this.state);
      // What was sent meanwhile is newer than what was asked for.
      if (this.isBusy || asked !== this.#requests) return;
      this.state = caughtUp(this.state, fresh);
      this.loaded = true;
      this.loadError = null;
    } catch (error) {
      if (error instanceof ServerError && error.status === 404) this.state = { ...this.state, failure: failureOf(error) };
      this.#changed();
      throw error;
    }
    this.#changed();
    this.#attach();
  }

  /** Loads the page before the oldest item that is there. */
  async loadOlder(): Promise<void> {
    if (this.id === null || !this.hasOlder || this.loadingOlder) return;
    this.loadingOlder = true;
    this.olderError = null;
    this.#changed();
    try {
      this.state = await this.#pages.older(this.id, () => this.state);
    } catch (error) {
      this.olderError = asError(error);
      this.host.onError(this.olderError);
    } finally {
      this.loadingOlder = false;
      this.#changed();
    }
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
    this.state = addOptimistic({ ...this.state, notices: [] }, bubble);
    await this.#deliver({ message, key: idempotencyKey() });
  }

  /** Asks for another answer to a message; without its id, does again what failed last. */
  async retry(itemId?: string): Promise<void> {
    if (this.isBusy) return;
    if (itemId === undefined && this.#unsent) {
      this.state = { ...this.state, failure: null };
      await this.#deliver(this.#unsent);
      return;
    }
    if (itemId === undefined && this.#resend) {
      await this.#resend();
      return;
    }
    if (this.#unsent) this.dismissFailure();
    const call = itemId === undefined ? pendingCall(this.state.items) : null;
    if (call) return this.#runTool(call);
    const id = itemId ?? lastUserMessage(this.state.items)?.id;
    if (!id || this.id === null) return;
    const before = this.state;
    this.state = pruneAfter(this.state, id);
    const arrived = await this.#run("threads.retry_after_item", { thread_id: this.id, item_id: id });
    if (!arrived && this.state.failure) {
      // The server has not taken anything away.
      this.state = { ...before, failure: this.state.failure };
      this.#changed();
    }
  }

  /** Answers or skips questions. */
  async answer(itemId: string, input: StructuredSubmission): Promise<void> {
    if (this.id === null) return;
    await this.#run("threads.add_structured_input", { thread_id: this.id, item_id: itemId, input }, { key: idempotencyKey() });
  }

  /** Sends an action of a widget or of the page. Rejects where it failed. */
  async act(action: { type: string; payload?: unknown }, itemId: string | null, streaming = true, onArrival?: () => void): Promise<void> {
    if (this.id === null) throw new Error("An action needs a thread; there is none yet.");
    const params = { thread_id: this.id, action, ...(itemId === null ? {} : { item_id: itemId }) };
    if (streaming) {
      await this.#run("threads.custom_action", params, { quiet: true, key: idempotencyKey(), ...(onArrival ? { onArrival } : {}) });
      if (this.state.failure) throw new Error(this.state.failure.message ?? this.state.failure.code);
      return;
    }
    const { updated_item: item } = await this.host.client.call("threads.sync_custom_action", params);
    if (item) this.#apply({ type: "thread.item.replaced", item });
  }

  /** Sends feedback, once of a kind; rejects where the server did not take it. */
  async giveFeedback(itemIds: string[], kind: "positive" | "negative"): Promise<void> {
    const key = itemIds.at(-1);
    if (this.id === null || key === undefined || this.feedback.get(key) === kind) return;
    const before = this.feedback.get(key);
    this.feedback.set(key, kind);
    this.#changed();
    try {
      await this.host.client.call("items.feedback", { thread_id: this.id, item_ids: itemIds, kind });
    } catch (error) {
      if (before) this.feedback.set(key, before);
      else this.feedback.delete(key);
      this.host.onError(asError(error));
      this.#changed();
      throw error;
    }
  }

  /** Ends the answer; what is there of it stays. */
  async stop(): Promise<void> {
    if (!this.isBusy || this.phase === "stopping") return;
    this.phase = "stopping";
    this.#stopWanted = true;
    this.#stopSent = false;
    this.#changed();
    clearTimeout(this.#stopTimer);
    this.#stopTimer = setTimeout(() => this.#giveUpWaiting(), STOP_LIMIT);
    // Before the first event it is not known whether the server can stop a turn, and of which thread: that event sends it.
    if (this.#hasHeard) await this.#sendStop();
  }

  /** Ends all connections without stopping the turns, for the page is done with this. */
  detach(): void {
    this.#cut();
  }

  /** Takes in that the thread has another title. */
  rename(title: string): void {
    if (this.state.thread) this.state = { ...this.state, thread: { ...this.state.thread, title } };
    this.#changed();
  }

  dismissNotice(key: number): void {
    this.state = { ...this.state, notices: this.state.notices.filter((notice) => notice.key !== key) };
    this.#changed();
  }

  dismissFailure(): void {
    const { message } = this.#unsent ?? {};
    if (message) this.#dropUnsent();
    this.#resend = null;
    this.state = { ...this.state, failure: null };
    if (message) this.host.onGivenUp(message, this);
    this.#changed();
  }

  /** A stop has taken too long: whatever has not been heard of is cut off here. */
  #giveUpWaiting(): void {
    if (!this.#stopSent && this.id !== null && this.host.client.knowsTurns) {
      // The message may have arrived, though nothing came back.
      this.host.client.call("turns.stop", { thread_id: this.id }).catch((error: unknown) => this.host.onLog("turns.stop.failed", { message: asError(error).message }));
    }
    // What came until then is on the server.
    this.#isStale = true;
    this.#cut();
  }

  async #sendStop(): Promise<void> {
    this.#stopSent = true;
    if (!this.host.client.knowsTurns || this.id === null || this.#isRunningTool) {
      this.#cut();
      return;
    }
    try {
      await this.host.client.call("turns.stop", { thread_id: this.id });
    } catch (error) {
      this.host.onLog("turns.stop.failed", { message: asError(error).message });
      this.#cut();
    }
  }

  #cut(): void {
    for (const stream of this.#streams) stream.abort();
  }

  #dropUnsent(): void {
    const id = this.state.optimisticId;
    this.#unsent = null;
    this.state = { ...this.state, optimisticId: null, items: this.state.items.filter((item) => item.id !== id) };
  }

  #attach(): void {
    if (this.id === null || this.isBusy || this.#streams.size > 0) return;
    const call = pendingCall(this.state.items);
    if (this.state.thread?.active_turn) void this.#run("turns.resume", { thread_id: this.id });
    else if (call && !wasStopped(call)) void this.#runTool(call);
  }

  async #deliver(outgoing: Outgoing): Promise<void> {
    this.#unsent = outgoing;
    const { content, attachments, quotedText, inference } = outgoing.message;
    const input = {
      content,
      attachments: attachments.map((attachment) => attachment.id),
      inference_options: inference,
      ...(quotedText ? { quoted_text: quotedText } : {}),
    };
    if (this.id === null) await this.#run("threads.create", { input }, { key: outgoing.key });
    else await this.#run("threads.add_user_message", { thread_id: this.id, input }, { key: outgoing.key });
  }

  /** Follows one stream, and those of the client tools that it asks for. Returns whether anything arrived. */
  async #run<T extends StreamingType>(
    type: T,
    params: RequestParams[T],
    { quiet = false, key, onArrival }: { quiet?: boolean; key?: string; onArrival?: () => void } = {},
  ): Promise<boolean> {
    this.#requests += 1;
    const abort = new AbortController();
    this.#streams.add(abort);
    this.state = { ...this.state, failure: null };
    if (this.#streams.size === 1) this.#hasHeard = false;
    if (!quiet) this.#enter("sending");
    const calls = new Map<string, ClientToolCallItem>();
    this.#resend = null;
    const unconfirmed = new Set<string>();
    let arrived = false;
    let ended: string | null = null;
    let cameBack = false;
    let failure: Failure | null = null;
    try {
      const options = { signal: abort.signal, threadId: this.id, ...(key ? { idempotencyKey: key } : {}) };
      for await (const part of this.host.client.stream(type, params, options)) {
        if ("end" in part) ended = part.end;
        else if ("event" in part) {
          follow(unconfirmed, part.event);
          this.#take(part.event, calls, quiet);
          if (!arrived) onArrival?.();
          // Whoever only reads along changes nothing.
          if (!arrived && this.id !== null && type !== "turns.resume") this.host.onTouched(this.id);
          arrived = true;
        } else {
          cameBack = true;
          this.#setReconnecting(part);
        }
      }
      failure = this.#failureOfEnd(ended);
    } catch (error) {
      if (!isAbort(error) && !abort.signal.aborted) failure = await this.#failureOf(error);
    }
    this.#streams.delete(abort);
    this.reconnecting = false;
    if (cameBack && ended !== null) this.state = without(this.state, unconfirmed);
    if (failure && !this.state.failure) this.state = { ...this.state, failure };
    const stopped = this.#stopWanted || ended === "stopped";
    // A message has its own way: its bubble is there already. And another answer would take away the widget that acted.
    if (key && this.state.failure && !this.#unsent && (!arrived || type === "threads.custom_action")) {
      const isKnown = arrived || ended !== null;
      this.#resend = () => this.#run(type, params, { quiet, key: isKnown ? idempotencyKey() : key, ...(onArrival ? { onArrival } : {}) });
    }
    const call = [...calls.values()].at(-1);
    if (call && !stopped && !this.state.failure) {
      await this.#runTool(call);
      return arrived;
    }
    if (this.#streams.size === 0) this.#leave();
    else this.#changed();
    if (arrived && this.id !== null && type !== "turns.resume") this.host.onTouched(this.id);
    return arrived;
  }

  /** Has the page carry out a tool, in one of the tabs that show the thread, and sends what came of it. */
  async #runTool(call: ClientToolCallItem): Promise<void> {
    const abort = new AbortController();
    this.#streams.add(abort);
    this.#hasHeard = true;
    this.state = { ...this.state, failure: null };
    this.#enter("streaming");
    try {
      await exclusively(`chatkit.tool ${call.id}`, abort.signal, async (hasWaited, release) => {
        const known = this.#results.get(call.id);
        const isOpen = (!hasWaited && !known) || (await this.#isOpen(call));
        const result = isOpen ? (known ?? (await resultOf(this.host.runTool(call.name, call.arguments), abort.signal, (error) => this.host.onError(error)))) : null;
        this.#streams.delete(abort);
        if (result) this.#results.set(call.id, result);
        if (this.#stopWanted || abort.signal.aborted) rememberStop(call);
        else if (result !== null && this.id !== null) {
          await this.#run("threads.add_client_tool_output", { thread_id: this.id, result: result.value }, { onArrival: release });
          return;
        }
        this.#leave();
        if (!isOpen) this.#attach();
      });
    } catch (error) {
      this.#streams.delete(abort);
      if (isAbort(error)) rememberStop(call);
      else {
        this.host.onError(asError(error));
        this.state = { ...this.state, failure: failureOf(error) };
      }
      this.#leave();
    }
  }

  /** Whether a tool call still waits for its result; takes in what another tab has made of the thread. */
  async #isOpen(call: ClientToolCallItem): Promise<boolean> {
    if (this.id === null) return false;
    this.state = await this.#pages.newest(this.id, () => this.state);
    return pendingCall(this.state.items)?.id === call.id && !this.state.thread?.active_turn;
  }

  #take(event: ThreadEvent, calls: Map<string, ClientToolCallItem>, quiet: boolean): void {
    if (event.type === "client_effect") {
      this.host.onEffect(event.name, event.data);
      return;
    }
    if ("item" in event && event.item.type === "client_tool_call") {
      if (event.item.status === "pending") calls.set(event.item.id, event.item);
      else calls.delete(event.item.id);
    }
    if (event.type === "error") this.host.onError(new Error(event.message ?? event.code));
    const waits = quiet && !["thread.item.added", "progress_update"].includes(event.type);
    if (!waits && (this.phase === "idle" || this.phase === "sending")) this.#enter("streaming");
    this.#apply(event);
    if (event.type === "thread.created" && this.id === null) {
      this.id = event.thread.id;
      this.host.onThreadCreated(this);
    } else if (event.type === "thread.created" || event.type === "thread.updated") {
      // A worker that goes on with a turn may tell of the thread's creation once more, with what changed since.
      this.host.onThreadUpdated(this);
    }
    if (this.#unsent && this.state.optimisticId === null) this.#unsent = null;
    this.#hasHeard = this.id !== null;
    if (this.#hasHeard && this.#stopWanted && !this.#stopSent) void this.#sendStop();
  }

  #apply(event: ThreadEvent): void {
    this.state = reduce(this.state, event);
    this.#changed();
  }

  #setReconnecting(part: StreamPart & { reconnecting: boolean }): void {
    this.reconnecting = part.reconnecting;
    this.#changed();
  }

  #failureOfEnd(status: string | null): Failure | null {
    if (this.state.failure || this.#stopWanted) return null;
    if (status === "failed" || status === "interrupted") return interrupted(status);
    const isCutOff = status === null && (this.state.pending.size > 0 || this.state.optimisticId !== null);
    return isCutOff ? interrupted("interrupted") : null;
  }

  async #failureOf(error: unknown): Promise<Failure | null> {
    if (error instanceof ServerError && error.code === "turn_not_found") return this.#lostTurn();
    this.host.onError(asError(error));
    return failureOf(error);
  }

  /** Nothing is kept of the turn any more: what is stored is all that there is, and tells whether it went on without us. */
  async #lostTurn(): Promise<Failure | null> {
    const { id } = this;
    const before = this.state;
    if (id === null) return interrupted("interrupted");
    try {
      this.state = await this.#pages.newest(id, () => this.state);
    } catch (error) {
      this.host.onError(asError(error));
      return interrupted("interrupted");
    }
    const wasOpen = before.pending.size > 0 || before.items.at(-1)?.type === "user_message";
    return wasOpen && !hasGrown(before, this.state) ? interrupted("interrupted") : null;
  }

  #enter(phase: Phase): void {
    const wasIdle = this.phase === "idle";
    this.phase = this.#stopWanted ? "stopping" : phase;
    if (wasIdle) this.host.onResponse("start", this);
    this.#changed();
  }

  #leave(): void {
    const wasBusy = this.phase !== "idle";
    this.phase = "idle";
    const isWithdrawn = this.#stopWanted && this.#unsent !== null;
    this.#stopWanted = false;
    clearTimeout(this.#stopTimer);
    this.state = settled(this.state);
    if (this.state.thread?.active_turn) {
      const { active_turn: _, ...thread } = this.state.thread;
      this.state = { ...this.state, thread };
    }
    // Stopped before the server had told that it has the message.
    if (isWithdrawn) this.dismissFailure();
    this.#changed();
    if (wasBusy) this.host.onResponse("end", this);
    if (isWithdrawn || this.#isStale) this.refresh().catch((error: unknown) => this.host.onLog("thread.refresh.failed", { message: String(error) }));
  }

  #changed(): void {
    this.host.onChange(this);
  }
}

/** Keeps the ids of items that were begun, and that no later event has told to be known. */
function follow(unconfirmed: Set<string>, event: ThreadEvent): void {
  if (event.type === "thread.item.added") unconfirmed.add(event.item.id);
  else if (event.type === "thread.item.done" || event.type === "thread.item.replaced") unconfirmed.delete(event.item.id);
  else if (event.type === "thread.item.removed") unconfirmed.delete(event.item_id);
}

/** Tells whether a thread takes messages. */
export function isOpen(state: ThreadState): boolean {
  return (state.thread?.status?.type ?? "active") === "active";
}
