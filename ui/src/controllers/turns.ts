/** The turns of a thread that this page follows: their streams, the tools of the page that they call, and stopping them. */

import type { ProtocolClient } from "../client/client";
import { asError, isAbort, isUnauthorised, ServerError } from "../protocol/errors";
import { idempotencyKey } from "../protocol/keys";
import type { ClientToolCallItem, RequestParams, StreamingType, Thread, ThreadEvent } from "../protocol/wire";
import { type Failure, hasGrown, isSignOfWork, noteUnconfirmed, pendingCall, settled, without } from "../state/thread";
import { exclusively } from "./exclusive";
import { failureOf, interrupted } from "./failures";
import type { ThreadModel } from "./model";
import type { Pages } from "./pages";
import { errorResult, rememberStop, resultOf, wasStopped } from "./tools";

export type Phase = "idle" | "sending" | "streaming" | "stopping";

export interface TurnsHost {
  readonly client: ProtocolClient;
  /** Runs a tool of the page; rejects where there is none of that name. */
  runTool(name: string, params: Record<string, unknown>): Promise<unknown>;
  onEvent(event: ThreadEvent): void;
  onEffect(name: string, data: Record<string, unknown> | undefined): void;
  onResponse(phase: "start" | "end"): void;
  /** The thread has got its title, after its answer. */
  onTitle(thread: Thread): void;
  /** This page has changed the thread. */
  onTouched(threadId: string): void;
  /** No turn runs any more; returns whether a message was taken back that the server may have. */
  onIdle(wasStopped: boolean): boolean;
  /** The server may have more than what came. */
  onStale(): void;
  onError(error: Error): void;
  onLog(name: string, data?: Record<string, unknown>): void;
}

interface RunOptions {
  /** Whether nothing shows that it runs until an answer comes, as with actions of widgets. */
  quiet?: boolean;
  /** The idempotency key. */
  key?: string;
  /** Whether `resend` does it again where it failed. */
  canResend?: boolean;
  /** Called at the first event. */
  onArrival?: () => void;
}

/** Codes of failures that say that the request itself is wrong: sending it again changes nothing. */
const REFUSED = new Set(["invalid_request", "malformed_request", "too_large"]);

/** How long a stop may take before the connection is cut, in milliseconds. */
const STOP_LIMIT = 5000;

export class Turns {
  phase: Phase = "idle";
  reconnecting = false;
  /** Whether the server is to be asked for news when no turn runs any more. */
  isStale = false;
  /** How many streams were begun, to know what is out of date. */
  count = 0;
  /** Sends an answer again that did not arrive, or an action that failed. */
  resend: (() => Promise<unknown>) | null = null;

  /** What tools of the page have answered, by the id of the call: when it does not arrive, they are not run again. */
  readonly #results = new Map<string, { value: unknown }>();
  readonly #streams = new Set<AbortController>();
  /** Streams of turns that have ended, which are read on for a title. */
  readonly #titles = new Set<AbortController>();
  #stopWanted = false;
  #stopSent = false;
  #stopTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the stream that runs has brought anything yet. */
  #hasHeard = false;

  constructor(
    private readonly host: TurnsHost,
    private readonly model: ThreadModel,
    private readonly pages: Pages,
  ) {}

  get isBusy(): boolean {
    return this.phase !== "idle";
  }

  /** Whether anything comes from the server, shown or not. */
  get isActive(): boolean {
    return this.isBusy || this.#streams.size > 0;
  }

  /** Attaches to the turn that runs, or carries out the tool call that the thread waits for. */
  attach(): void {
    const { id, state } = this.model;
    if (id === null || this.isActive) return;
    const call = pendingCall(state.items);
    if (state.thread?.active_turn) void this.run("turns.resume", { thread_id: id });
    else if (call && !wasStopped(call)) void this.runTool(call);
  }

  /** Follows one stream, and those of the client tools that it asks for. Returns whether anything arrived. */
  async run<T extends StreamingType>(type: T, params: RequestParams[T], options: RunOptions = {}): Promise<boolean> {
    const { quiet = false, key, canResend = false, onArrival } = options;
    const { model } = this;
    this.count += 1;
    const abort = new AbortController();
    this.#streams.add(abort);
    model.set({ failure: null });
    if (this.#streams.size === 1) this.#hasHeard = false;
    if (!quiet) this.#enter("sending");
    const calls = new Map<string, ClientToolCallItem>();
    this.resend = null;
    const unconfirmed = new Set<string>();
    let arrived = false;
    let ended: string | null = null;
    let cameBack = false;
    let failure: Failure | null = null;
    let isLockedOut = false;
    try {
      const more = { signal: abort.signal, threadId: model.id, ...(key ? { idempotencyKey: key } : {}) };
      for await (const part of this.host.client.stream(type, params, more)) {
        if ("end" in part) {
          ended = part.end;
          if (part.title) void this.#awaitTitle(part.title(), abort);
        } else if ("event" in part) {
          noteUnconfirmed(unconfirmed, part.event);
          this.#take(part.event, calls, quiet);
          if (!arrived) onArrival?.();
          if (!arrived) this.#touched(type);
          arrived = true;
        } else {
          cameBack = true;
          this.reconnecting = part.reconnecting;
          model.changed();
        }
      }
      failure = this.#failureOfEnd(ended);
    } catch (error) {
      isLockedOut = isUnauthorised(error) && (arrived || type === "turns.resume");
      if (!isAbort(error) && !abort.signal.aborted) failure = await this.#failureOf(error);
    }
    this.#streams.delete(abort);
    this.reconnecting = false;
    if (cameBack && ended !== null) model.state = without(model.state, unconfirmed);
    if (failure && !model.state.failure) model.set({ failure });
    const stopped = this.#stopWanted || ended === "stopped";
    // What runs there goes on, and must not be begun a second time.
    if (isLockedOut && failure) this.resend = () => this.#lookAgain();
    // Another answer would take away the widget that acted.
    else if (canResend && model.state.failure && (!arrived || type === "threads.custom_action")) {
      const isKnown = arrived || ended !== null;
      this.resend = () => this.run(type, params, { ...options, ...(isKnown ? { key: idempotencyKey() } : {}) });
    }
    const call = [...calls.values()].at(-1);
    if (call && !stopped && !model.state.failure) {
      await this.runTool(call);
      return arrived;
    }
    if (this.#streams.size === 0) this.#leave();
    else model.changed();
    if (arrived) this.#touched(type);
    return arrived;
  }

  async #awaitTitle(title: Promise<Thread | null>, abort: AbortController): Promise<void> {
    this.#titles.add(abort);
    const thread = await title;
    this.#titles.delete(abort);
    if (thread && !abort.signal.aborted) this.host.onTitle(thread);
  }

  /** Reads the thread anew, and follows what runs in it. */
  async #lookAgain(): Promise<void> {
    const { id } = this.model;
    if (id === null) return;
    this.model.set({ failure: null });
    this.model.changed();
    try {
      this.model.state = await this.pages.newest(id);
    } catch (error) {
      this.host.onError(asError(error));
      this.resend = () => this.#lookAgain();
      this.model.set({ failure: failureOf(error) });
    }
    this.model.changed();
    if (this.model.state.failure === null) this.attach();
  }

  /** Has the page carry out a tool, in one of the tabs that show the thread, and sends what came of it. */
  async runTool(call: ClientToolCallItem): Promise<void> {
    const abort = new AbortController();
    this.#streams.add(abort);
    this.#hasHeard = true;
    this.model.set({ failure: null });
    this.#enter("streaming");
    try {
      await exclusively(`chatkit.tool ${call.id}`, abort.signal, async (hasWaited, release) => {
        const known = this.#results.get(call.id);
        const isOpen = (!hasWaited && !known) || (await this.#isOpen(call));
        const result = isOpen ? (known ?? (await resultOf(this.host.runTool(call.name, call.arguments), abort.signal, (error) => this.host.onError(error)))) : null;
        this.#streams.delete(abort);
        if (result) this.#results.set(call.id, result);
        if (this.#stopWanted || abort.signal.aborted) rememberStop(call);
        else if (result !== null && this.model.id !== null) {
          await this.#sendResult(call, this.model.id, result, release);
          return;
        }
        this.#leave();
        if (!isOpen) this.attach();
      });
    } catch (error) {
      this.#streams.delete(abort);
      if (isAbort(error)) rememberStop(call);
      else {
        this.host.onError(asError(error));
        this.model.set({ failure: failureOf(error) });
      }
      this.#leave();
    }
  }

  /** Ends the answer; what is there of it stays. */
  async stop(): Promise<void> {
    if (!this.isBusy || this.phase === "stopping") return;
    this.phase = "stopping";
    this.#stopWanted = true;
    this.#stopSent = false;
    this.model.changed();
    clearTimeout(this.#stopTimer);
    this.#stopTimer = setTimeout(() => this.#giveUpWaiting(), STOP_LIMIT);
    // Before the first event it is not known whether the server can stop a turn, and of which thread: that event sends it.
    if (this.#hasHeard) await this.#sendStop();
  }

  /** Ends all connections; the turns continue. */
  cut(): void {
    for (const stream of [...this.#streams, ...this.#titles]) stream.abort();
  }

  /** A stop has taken too long: what has not been heard of is cut off here. */
  #giveUpWaiting(): void {
    // The message may have arrived, though nothing came back.
    if (!this.#stopSent && this.model.id !== null && this.host.client.knowsTurns) void this.#askToStop(this.model.id);
    // What came until then is on the server.
    this.isStale = true;
    this.cut();
  }

  async #sendStop(): Promise<void> {
    this.#stopSent = true;
    const { id, state } = this.model;
    // It may be the page that works, and not the server.
    const isRunningTool = state.pending.size === 0 && pendingCall(state.items) !== null;
    const isAsked = this.host.client.knowsTurns && id !== null && !isRunningTool && (await this.#askToStop(id));
    if (!isAsked) this.cut();
  }

  /** Returns whether the server has taken the request. */
  async #askToStop(id: string): Promise<boolean> {
    try {
      await this.host.client.call("turns.stop", { thread_id: id });
      return true;
    } catch (error) {
      this.host.onLog("turns.stop.failed", { message: asError(error).message });
      return false;
    }
  }

  /** Sends what a tool has answered; a result that the server does not take is told to the assistant as the tool's error. */
  async #sendResult(call: ClientToolCallItem, threadId: string, result: { value: unknown }, onArrival: () => void): Promise<void> {
    const send = ({ value }: { value: unknown }): Promise<boolean> =>
      this.run("threads.add_client_tool_output", { thread_id: threadId, result: value }, { onArrival });
    const arrived = await send(result);
    const { failure, items } = this.model.state;
    if (arrived || !failure || !REFUSED.has(failure.code) || pendingCall(items)?.id !== call.id) return;
    const refused = errorResult(`The result of the tool was not taken: ${failure.message ?? failure.code}`);
    this.#results.set(call.id, refused);
    await send(refused);
  }

  /** Returns whether a tool call still waits for its result; takes in what another tab has made of the thread. */
  async #isOpen(call: ClientToolCallItem): Promise<boolean> {
    const { model } = this;
    if (model.id === null) return false;
    model.state = await this.pages.newest(model.id);
    return pendingCall(model.state.items)?.id === call.id && !model.state.thread?.active_turn;
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
    const isShown = !quiet || isSignOfWork(event);
    if (isShown && (this.phase === "idle" || this.phase === "sending")) this.#enter("streaming");
    this.host.onEvent(event);
    this.#hasHeard = this.model.id !== null;
    if (this.#hasHeard && this.#stopWanted && !this.#stopSent) void this.#sendStop();
  }

  #touched(type: StreamingType): void {
    // Who only reads along changes nothing.
    if (this.model.id !== null && type !== "turns.resume") this.host.onTouched(this.model.id);
  }

  #failureOfEnd(status: string | null): Failure | null {
    const { failure, pending, optimisticId } = this.model.state;
    if (failure || this.#stopWanted) return null;
    if (status === "failed" || status === "interrupted") return interrupted(status);
    const isCutOff = status === null && (pending.size > 0 || optimisticId !== null);
    return isCutOff ? interrupted("interrupted") : null;
  }

  async #failureOf(error: unknown): Promise<Failure | null> {
    if (error instanceof ServerError && error.code === "turn_not_found") return this.#lostTurn();
    this.host.onError(asError(error));
    return failureOf(error);
  }

  /** Nothing is kept of the turn any more: what is stored is all that there is, and says whether it went on without us. */
  async #lostTurn(): Promise<Failure | null> {
    const { model } = this;
    const before = model.state;
    if (model.id === null) return interrupted("interrupted");
    try {
      model.state = await this.pages.newest(model.id);
    } catch (error) {
      this.host.onError(asError(error));
      return interrupted("interrupted");
    }
    const wasOpen = before.pending.size > 0 || before.items.at(-1)?.type === "user_message";
    return wasOpen && !hasGrown(before, model.state) ? interrupted("interrupted") : null;
  }

  #enter(phase: Phase): void {
    const wasIdle = this.phase === "idle";
    this.phase = this.#stopWanted ? "stopping" : phase;
    if (wasIdle) this.host.onResponse("start");
    this.model.changed();
  }

  #leave(): void {
    const { model } = this;
    const { isBusy: wasBusy } = this;
    const wasStopped = this.#stopWanted;
    this.phase = "idle";
    this.#stopWanted = false;
    clearTimeout(this.#stopTimer);
    model.state = settled(model.state);
    const isTakenBack = this.host.onIdle(wasStopped);
    model.changed();
    if (wasBusy) this.host.onResponse("end");
    if (isTakenBack || this.isStale) this.host.onStale();
  }
}
