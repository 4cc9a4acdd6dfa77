/** The state of the element, and what its views may ask for: the thread that is shown, the list of threads, the options. */

import type { ChatKitOptions, Entity } from "@openai/chatkit";
import type { ActionSource, EntityHost, WidgetAction, WidgetHost } from "../contracts";
import { Composer } from "./composer";
import { Conversation, type ConversationHost } from "./conversation";
import { History } from "./history";
import type { OutgoingMessage } from "./outgoing";
import { ThreadSearch } from "./search";
import { Tabs } from "./tabs";
import { forgetStops } from "./tools";
import { ConnectionError, isUnauthorised } from "../protocol/errors";
import { ProtocolClient } from "../client/client";
import { type ApiOption, type Endpoint, endpointOf } from "../client/endpoint";
import type { Thread } from "../protocol/wire";
import { lastUserMessage } from "../state/thread";
import { english, format, isRightToLeft, loadTable, type Table, validLocale } from "../strings";
import { schemeOf } from "../theme/theme";
import { loadWidgets } from "../widgets/load";

export interface AppEvents {
  "chatkit.ready": undefined;
  "chatkit.error": { error: Error };
  "chatkit.effect": { name: string; data?: Record<string, unknown> };
  "chatkit.deeplink": { name: string; data?: Record<string, unknown> };
  "chatkit.response.start": undefined;
  "chatkit.response.end": undefined;
  "chatkit.history.open": undefined;
  "chatkit.history.close": undefined;
  "chatkit.thread.change": { threadId: string | null };
  "chatkit.thread.load.start": { threadId: string };
  "chatkit.thread.load.end": { threadId: string };
  "chatkit.tool.change": { toolId: string | null };
  "chatkit.log": { name: string; data?: Record<string, unknown> };
}

/** Returns true where the event was cancelled, or the page listens to it at the element itself. */
type Emit = <K extends keyof AppEvents>(name: K, ...detail: AppEvents[K] extends undefined ? [] : [AppEvents[K]]) => boolean;

/** Threads that are kept ready when others are shown. */
const KEPT = 8;
const UNSET: ChatKitOptions = { api: { url: "", domainKey: "" } };

export class App implements ConversationHost {
  options: ChatKitOptions = UNSET;
  isConfigured = false;
  endpoint: Endpoint = { url: "" };
  view: "thread" | "history" = "thread";
  conversation: Conversation;
  announcement = "";

  readonly client = new ProtocolClient(() => this.endpoint);
  readonly composer: Composer;
  readonly history: History;
  readonly search: ThreadSearch;
  /** What views of content see; another object whenever something that they show has changed. */
  content: WidgetHost;

  readonly #tabs = new Tabs(
    () => this.endpoint.url,
    (threadId) => this.#touchedElsewhere(threadId),
  );
  #table: Table = english();
  #tableOf = "en";
  #kept = new Map<string, Conversation>();
  /** The endpoint that was asked what the server can do. */
  #asked: Pick<Endpoint, "url" | "secrets"> | null = null;

  constructor(
    readonly emit: Emit,
    /** Asks for the views to be drawn anew. */
    readonly redraw: () => void,
  ) {
    this.conversation = new Conversation(this, null);
    this.history = new History(this.client, redraw, (error) => this.onError(error));
    this.search = new ThreadSearch(this.client, redraw, (error) => this.onError(error));
    this.composer = new Composer(composerHost(this));
    this.content = contentHost(this);
  }

  get locale(): string {
    return validLocale(this.options.locale ?? globalThis.navigator?.language ?? "en");
  }

  /** Where users sign in, if the page says so. */
  get signInUrl(): string | undefined {
    return (this.options.api as ApiOption).signInUrl;
  }

  get isRightToLeft(): boolean {
    return isRightToLeft(this.locale);
  }

  readonly translate = (key: string, args?: Record<string, string | number>): string => format(this.#table, key, args);

  /** Begins to listen to the page; the element does so while it is in the document. */
  connect(): void {
    this.#tabs.open();
    globalThis.addEventListener("online", this.#cameBack);
    document.addEventListener("visibilitychange", this.#cameBack);
  }

  disconnect(): void {
    this.#tabs.close();
    globalThis.removeEventListener("online", this.#cameBack);
    document.removeEventListener("visibilitychange", this.#cameBack);
  }

  /** Brings the thread up to date when the user is back at the page, or the network is back. */
  readonly #cameBack = (): void => {
    if (document.visibilityState !== "visible") return;
    this.#askWhatServerCan();
    const { conversation } = this;
    const { pages } = conversation;
    if (pages.olderError) void pages.loadOlder();
    if (pages.loadError instanceof ConnectionError || isUnauthorised(pages.loadError)) void this.reload();
    else if (pages.loaded && conversation.id !== null) this.#refresh(conversation);
  };

  #touchedElsewhere(threadId: string): void {
    if (this.conversation.id === threadId && this.conversation.pages.loaded) this.#refresh(this.conversation);
    if (this.view === "history") void this.history.load();
  }

  #refresh(conversation: Conversation): void {
    conversation.refresh().catch((error: unknown) => this.onLog("thread.refresh.failed", { message: String(error) }));
  }

  /** Takes options in place of those before. Thread, draft and running streams stay as they are. */
  configure(options: ChatKitOptions): void {
    const isFirst = !this.isConfigured;
    const { secrets } = this.endpoint;
    this.options = options;
    this.endpoint = endpointOf(options.api as ApiOption, this.endpoint);
    this.isConfigured = true;
    if (this.composer.toolId !== null && this.composer.tool === null) this.composer.selectTool(null);
    this.content = contentHost(this);
    this.#askWhatServerCan();
    const { locale } = this;
    if (locale !== this.#tableOf) {
      this.#tableOf = locale;
      loadTable(locale).then(
        (table) => {
          if (this.#tableOf !== locale) return;
          this.#table = table;
          this.content = contentHost(this);
          this.redraw();
        },
        (error: unknown) => this.onLog("strings.failed", { locale, message: String(error) }),
      );
    }
    if (isFirst && options.initialThread) void this.show(options.initialThread);
    else if (secrets !== this.endpoint.secrets && isUnauthorised(this.conversation.pages.loadError)) void this.reload();
    this.redraw();
  }

  /** Where options show what a server may lack, asks for the capabilities that come with the list of threads. */
  #askWhatServerCan(): void {
    const { url, secrets } = this.endpoint;
    const { attachments, dictation } = this.options.composer ?? {};
    const isAsked = this.#asked?.url === url && this.#asked.secrets === secrets;
    if (isAsked || !(attachments?.enabled || dictation?.enabled)) return;
    const asked = { url, secrets };
    this.#asked = asked;
    this.client.call("threads.list", { limit: 1, order: "desc", capabilities: true }).then(this.redraw, (error: unknown) => {
      // Asked again when the user or the network is back; another failure leaves what the options say.
      if (this.#asked === asked && (error instanceof ConnectionError || isUnauthorised(error))) this.#asked = null;
      this.onLog("capabilities.failed", { message: String(error) });
    });
  }

  /** Shows a thread; null a new one. */
  async show(threadId: string | null): Promise<void> {
    this.hideHistory();
    const current = this.conversation;
    if (threadId === current.id && (threadId !== null || current.isEmpty)) {
      if (current.pages.loadError) await this.#load(current);
      return;
    }
    if (current.id !== null && current.isGone) {
      current.dismissFailure();
      if (threadId === null) this.composer.moveDraft(current.id, "");
    } else if (current.id !== null) this.#keep(current);
    else if (current.isBusy) {
      // Its thread is being made: it continues, and is found under its id afterwards.
      this.onLog("thread.left_before_created");
    } else current.dismissFailure();
    const known = threadId === null ? undefined : this.#kept.get(threadId);
    this.conversation = known ?? new Conversation(this, threadId);
    this.content = contentHost(this);
    this.emit("chatkit.thread.change", { threadId });
    this.redraw();
    if (known === undefined) await this.#load(this.conversation);
    else if (known.pages.loaded && !known.isBusy) this.#refresh(known);
    else if (!known.pages.loaded) await this.#load(known);
  }

  async #load(conversation: Conversation): Promise<void> {
    const { id } = conversation;
    if (id === null) return;
    this.emit("chatkit.thread.load.start", { threadId: id });
    await conversation.load();
    const message = conversation.pages.loadError === null ? lastUserMessage(conversation.state.items) : undefined;
    if (message) this.composer.forgetSent(id, message);
    if (conversation === this.conversation) this.content = contentHost(this);
    this.emit("chatkit.thread.load.end", { threadId: id });
  }

  reload(): Promise<void> {
    return this.#load(this.conversation);
  }

  #keep(conversation: Conversation): void {
    const id = conversation.id as string;
    this.#kept.delete(id);
    this.#kept.set(id, conversation);
    for (const [key, kept] of this.#kept) {
      if (this.#kept.size <= KEPT) break;
      if (!kept.isBusy) this.#kept.delete(key);
    }
  }

  forget(threadId: string): void {
    this.onTouched(threadId);
    this.#kept.get(threadId)?.detach();
    this.#kept.delete(threadId);
    if (this.conversation.id !== threadId) return;
    this.conversation.detach();
    const keepsHistory = this.view === "history";
    this.conversation = new Conversation(this, null);
    this.emit("chatkit.thread.change", { threadId: null });
    if (!keepsHistory) this.view = "thread";
    this.redraw();
  }

  /** Takes in that a thread has another title. */
  onRenamed(threadId: string, title: string): void {
    for (const conversation of [this.conversation, ...this.#kept.values()]) {
      if (conversation.id === threadId) conversation.rename(title);
    }
    this.onTouched(threadId);
  }

  /** Sends what is in the composer. */
  async submit(): Promise<void> {
    if (!this.composer.canSend || this.conversation.isBusy || this.conversation.isOpening) return;
    await this.conversation.send(this.composer.take());
  }

  showHistory(): void {
    if (this.options.history?.enabled === false || this.view === "history") return;
    this.view = "history";
    this.emit("chatkit.history.open");
    this.redraw();
    void this.history.load();
  }

  hideHistory(): void {
    if (this.view !== "history") return;
    this.view = "thread";
    this.emit("chatkit.history.close");
    this.redraw();
  }

  /** Says something to those who cannot see it. */
  announce(text: string): void {
    this.announcement = text;
    this.redraw();
  }

  formatBytes(bytes: number): string {
    const units = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;
    const step = Math.min(units.length - 1, Math.floor(Math.log(Math.max(bytes, 1)) / Math.log(1024)));
    const value = bytes / 1024 ** step;
    const style = { style: "unit", unit: units[step] ?? "byte", unitDisplay: step === 0 ? "long" : "short", maximumFractionDigits: value < 10 ? 1 : 0 } as const;
    return new Intl.NumberFormat(this.locale, style).format(value);
  }

  async runTool(name: string, params: Record<string, unknown>): Promise<unknown> {
    const { onClientTool } = this.options;
    if (!onClientTool) throw new Error(`The page has no onClientTool, so the tool ${name} cannot run.`);
    return onClientTool({ name, params });
  }

  onChange(conversation: Conversation): void {
    if (conversation === this.conversation) this.redraw();
  }

  onThreadCreated(conversation: Conversation): void {
    if (conversation.state.thread) this.history.note(conversation.state.thread);
    if (conversation === this.conversation) {
      // What was written while the thread was being made belongs to it.
      if (conversation.id !== null) this.composer.moveDraft("", conversation.id);
      this.emit("chatkit.thread.change", { threadId: conversation.id });
    } else this.#keep(conversation);
  }

  onThreadUpdated(conversation: Conversation): void {
    if (conversation === this.conversation) this.content = contentHost(this);
    if (conversation.state.thread) this.history.note(conversation.state.thread);
  }

  onResponse(phase: "start" | "end", conversation: Conversation): void {
    if (phase === "start") this.emit("chatkit.response.start");
    else this.emit("chatkit.response.end");
    if (conversation !== this.conversation) return;
    if (phase === "start") this.announce(this.translate("thread.answering"));
    else this.announce(this.#spokenAnswer(conversation));
  }

  onTitle(thread: Thread): void {
    const { title } = thread;
    for (const conversation of [this.conversation, ...this.#kept.values()]) if (conversation.id === thread.id && title) conversation.rename(title);
    this.history.note(thread);
    this.#tabs.tell(thread.id);
  }

  /** The answer in one piece when it is whole, for a live region that followed each word would chatter. */
  #spokenAnswer(conversation: Conversation): string {
    const last = conversation.state.items.findLast((item) => item.type === "assistant_message" || item.type === "user_message");
    if (last?.type !== "assistant_message") return "";
    const text = last.content.map((part) => part.text).join(" ").replace(/[#*_`>|~]+/g, "").trim();
    return this.translate("thread.answered", { text: text.length > 400 ? `${text.slice(0, 400)} …` : text });
  }

  onTouched(threadId: string): void {
    this.#tabs.tell(threadId);
  }

  onUnsent(message: OutgoingMessage | null, conversation: Conversation): void {
    this.composer.keepUnsent(message, conversation.id ?? "");
    // The first message of a new thread was kept before the thread had an id.
    if (message === null && conversation.id !== null) this.composer.keepUnsent(null, "");
  }

  /** Forgets what this tab has of its user: threads, drafts, what is on its way. */
  clear(): void {
    for (const conversation of [this.conversation, ...this.#kept.values()]) conversation.detach();
    this.#kept.clear();
    // Secrets of the one who leaves are not the next one's.
    if (this.isConfigured) this.endpoint = endpointOf(this.options.api as ApiOption);
    this.composer.clear();
    this.history.clear();
    this.search.clear();
    forgetStops();
    this.view = "thread";
    this.conversation = new Conversation(this, null);
    this.content = contentHost(this);
    this.emit("chatkit.thread.change", { threadId: null });
    this.redraw();
  }

  /** What was not sent goes back to where it was written. */
  onGivenUp(message: OutgoingMessage, conversation: Conversation): void {
    this.composer.restore(message, conversation.id ?? "");
  }

  onEffect(name: string, data: Record<string, unknown> | undefined): void {
    this.emit("chatkit.effect", data === undefined ? { name } : { name, data });
  }

  onError(error: Error): void {
    this.emit("chatkit.error", { error });
  }

  onLog(name: string, data?: Record<string, unknown>): void {
    this.emit("chatkit.log", data === undefined ? { name } : { name, data });
  }
}

function composerHost(app: App): ConstructorParameters<typeof Composer>[0] {
  return {
    client: app.client,
    get options() {
      return app.options;
    },
    get endpoint() {
      return app.endpoint;
    },
    get threadId() {
      return app.conversation.id;
    },
    get locale() {
      return app.locale;
    },
    translate: app.translate,
    formatBytes: (bytes) => app.formatBytes(bytes),
    onChange: () => app.redraw(),
    onToolChange: (toolId) => app.emit("chatkit.tool.change", { toolId }),
    onError: (error) => app.onError(error),
    announce: (text) => app.announce(text),
  };
}

function entityHost(option: NonNullable<ChatKitOptions["entities"]>): EntityHost {
  const { onClick, onRequestPreview } = option;
  return {
    ...(onClick ? { onClick: (entity: unknown) => onClick(entity as Entity) } : {}),
    ...(onRequestPreview ? { onRequestPreview: (entity: unknown) => onRequestPreview(entity as Entity) } : {}),
  };
}

function originsOf(url: string): string[] {
  try {
    return [new URL(url, document.baseURI).origin];
  } catch {
    return [];
  }
}

function contentHost(app: App): WidgetHost {
  const { entities } = app.options;
  return {
    translate: app.translate,
    get locale() {
      return app.locale;
    },
    get colorScheme() {
      return schemeOf(app.options.theme);
    },
    get allowedImageDomains() {
      return app.conversation.state.thread?.allowed_image_domains ?? null;
    },
    get origins() {
      return originsOf(app.endpoint.url);
    },
    onDeepLink: (name, data) => app.emit("chatkit.deeplink", data === undefined ? { name } : { name, data }),
    onLog: (name, data) => app.onLog(name, data),
    onAction: (action, source) => act(app, action, source),
    loadWidgets,
    ...(entities ? { entities: entityHost(entities) } : {}),
  };
}

async function act(app: App, action: WidgetAction, source: ActionSource): Promise<void> {
  const sent = { type: action.type, ...(action.payload === undefined ? {} : { payload: action.payload }) };
  if (action.handler === "client") {
    const { onAction } = app.options.widgets ?? {};
    if (!onAction) throw new Error(`The page has no widgets.onAction for the action ${action.type}.`);
    await onAction(sent, { id: source.itemId ?? "", widget: source.widget as never });
    return;
  }
  await app.conversation.act(sent, source.itemId, action.streaming, source.onArrival);
}
