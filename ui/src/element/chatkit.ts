/** The element `<openai-chatkit>`: its public face, and the frame around the views. */

import type { Attachment, ChatKitOptions, OpenAIChatKit, ToolChoice, UserMessageContent } from "@openai/chatkit";
import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { state } from "lit/decorators.js";
import { StyledElement } from "../content/styledElement";
import { App, type AppEvents } from "../controllers/app";
import { failureOf, textOfFailure } from "../controllers/failures";
import { signInLink } from "../views/signIn";
import { headerIcon, icon } from "../icons/icons";
import type { UserContent, WireAttachment } from "../protocol/wire";
import { isOpen } from "../state/thread";
import { styles } from "../styles";
import { loadFonts, schemeOf, sheetOf, variablesOf } from "../theme/theme";
import "../views/composer";
import type { ComposerView } from "../views/composer";
import "../views/history";
import { flagsOf } from "../views/search";
import { spinner } from "../views/thread";
import type { ThreadView } from "../views/thread";
import { checkOptions, unknownKeys, withoutNulls } from "./options";
import { startScreen } from "../views/start";

/** A frame, but no longer than this where the page is hidden and draws none. */
const LONGEST_FRAME = 120;

interface Outgoing {
  text?: string;
  content?: UserMessageContent[];
  reply?: string;
  attachments?: Attachment[];
}

export class ChatKitElement extends StyledElement {
  static override styles = styles;

  @state() private settings: ChatKitOptions | null = null;

  readonly #app: App;
  #themeStyles = "";
  #focusesComposer = false;
  #isReady = false;
  #warned = new Set<string>();
  #mirrored: string[] = [];
  #returnFocus = false;
  /** Where a page listens to deep links, they are its own; otherwise they are links like others. */
  readonly #deepLinkListeners = new Set<EventListenerOrEventListenerObject>();

  constructor() {
    super();
    this.#app = new App(
      (name, ...detail) => this.#emit(name, detail[0]),
      () => this.requestUpdate(),
    );
  }

  static override get observedAttributes(): string[] {
    return [...super.observedAttributes, "classname"];
  }

  setOptions(given: ChatKitOptions): void {
    checkOptions(given);
    const options = withoutNulls(given);
    for (const key of unknownKeys(options)) {
      if (this.#warned.has(key)) continue;
      this.#warned.add(key);
      console.warn(`<openai-chatkit>: the option ${key} is not known and has no effect.`);
    }
    // First what may be wrong with it: options are taken whole or not at all.
    const themeStyles = sheetOf(variablesOf(options.theme), schemeOf(options.theme));
    loadFonts(typeof options.theme === "object" ? options.theme.typography?.fontSources : undefined);
    this.settings = options;
    this.#app.configure(options);
    if (themeStyles !== this.#themeStyles) {
      this.#themeStyles = themeStyles;
      this.applyStyles();
    }
    this.#announceReady();
  }

  /** Gives the composer the focus; where the element is not in a document yet, as soon as it is shown. */
  async focusComposer(): Promise<void> {
    this.#app.hideHistory();
    if (!this.isConnected || this.settings === null) {
      this.#focusesComposer = true;
      return;
    }
    await this.updateComplete;
    await this.#composer()?.updateComplete;
    this.#composer()?.focusInput();
  }

  async setThreadId(threadId?: string | null): Promise<void> {
    await this.#app.show(threadId ?? null);
  }

  /** Goes to an item of the thread that is shown, and gives it the focus; returns whether it is there. */
  async showItem(itemId: string): Promise<boolean> {
    this.#requireOptions();
    this.#app.hideHistory();
    await this.#drawn();
    return (await this.threadView?.reveal(itemId)) ?? false;
  }

  async sendUserMessage(
    params: Outgoing & { newThread?: boolean; toolChoice?: ToolChoice; model?: string },
  ): Promise<void> {
    this.#requireOptions();
    const content = contentOf(params) ?? [];
    if ((params.attachments ?? []).length === 0 && content.every((part) => part.type === "input_text" && part.text.trim() === "")) {
      throw new TypeError("A message needs a text, content or attachments.");
    }
    if (params.newThread) await this.#app.show(null);
    const { conversation } = this.#app;
    if (conversation.isOpening) await conversation.opened;
    if (conversation.isBusy) throw new Error("A message cannot be sent while an answer comes.");
    this.#app.hideHistory();
    void conversation.send({
      content,
      attachments: (params.attachments ?? []) as WireAttachment[],
      quotedText: params.reply ?? null,
      inference: { ...(params.toolChoice ? { tool_choice: params.toolChoice } : {}), ...(params.model ? { model: params.model } : {}) },
    });
  }

  async setComposerValue(
    params: Outgoing & { files?: File[]; selectedToolId?: string | null; selectedModelId?: string },
  ): Promise<void> {
    this.#requireOptions();
    const { composer } = this.#app;
    const { text, reply, attachments } = params;
    composer.setValue({ text, reply, attachments, content: params.content ? contentOf(params) : undefined });
    if (params.files) composer.addFiles(params.files);
    if (params.selectedToolId !== undefined) composer.selectTool(params.selectedToolId);
    if (params.selectedModelId !== undefined) composer.selectModel(params.selectedModelId);
    await this.#drawn();
  }

  async fetchUpdates(): Promise<void> {
    this.#requireOptions();
    await Promise.all([this.#app.conversation.refresh(), this.#app.view === "history" ? this.#app.history.load() : undefined]);
  }

  async sendCustomAction(action: { type: string; payload?: Record<string, unknown> }, itemId?: string): Promise<void> {
    this.#requireOptions();
    await this.#app.conversation.act(action, itemId ?? null);
  }

  /** Forgets what this tab has of its user: threads, drafts, unsent messages. For pages whose users sign out without leaving. */
  async clearUserData(): Promise<void> {
    this.#app.clear();
    await this.#drawn();
  }

  async showHistory(): Promise<void> {
    this.#app.showHistory();
    await this.#drawn();
  }

  async hideHistory(): Promise<void> {
    this.#app.hideHistory();
    await this.#drawn();
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#app.connect();
    this.#announceReady();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#app.disconnect();
  }

  override attributeChangedCallback(name: string, before: string | null, value: string | null): void {
    super.attributeChangedCallback(name, before, value);
    if (name !== "classname") return;
    // React 18 writes className of an element with a dash in its name as an attribute.
    this.classList.remove(...this.#mirrored);
    this.#mirrored = (value ?? "").split(/\s+/).filter(Boolean);
    this.classList.add(...this.#mirrored);
  }

  protected override get ownStyles(): string {
    return this.#themeStyles;
  }

  /** Draws once a frame, however many events come in. */
  protected override async scheduleUpdate(): Promise<void> {
    await nextFrame();
    await super.scheduleUpdate();
  }

  /** Settles when what was changed is shown; at once while the element is in no document, and shows nothing. */
  async #drawn(): Promise<void> {
    if (this.isConnected) await this.updateComplete;
  }

  protected override updated(_changed: PropertyValues): void {
    if (this.#focusesComposer && this.settings !== null) {
      this.#focusesComposer = false;
      void this.focusComposer();
    }
    if (this.#returnFocus) {
      this.#returnFocus = false;
      this.renderRoot.querySelector<HTMLElement>(".history-button")?.focus();
    }
  }

  protected override render(): TemplateResult | typeof nothing {
    const app = this.#app;
    if (this.settings === null) return nothing;
    const { header, frameTitle } = app.options;
    return html`<div class="root" part="root" role="region" aria-label=${frameTitle ?? "Chat"} dir=${app.isRightToLeft ? "rtl" : "ltr"} lang=${app.locale}
      @keydown=${this.#keyed} @ck-reveal=${(event: CustomEvent<string>) => void this.showItem(event.detail)} @ck-focus-composer=${() => void this.focusComposer()}>
      ${header?.enabled === false ? nothing : this.#header()}
      ${app.view === "history" ? html`<ck-history class="body" .app=${app} .history=${app.history} .threads=${app.history.threads} .flags=${`${app.history.loading} ${app.history.loaded} ${app.history.hasMore} ${app.history.error?.message} ${app.conversation.id} ${app.search.query} ${app.search.isOffered} ${flagsOf(app.search)} ${app.search.found.length}`}></ck-history>` : this.#thread()}
      <div class="visually-hidden" role="status" aria-live="polite">${app.announcement}</div>
    </div>`;
  }

  #header(): TemplateResult {
    const app = this.#app;
    const { header, history } = app.options;
    const isHistory = app.view === "history";
    const title = isHistory ? app.translate("history.title") : (header?.title?.text ?? app.conversation.state.thread?.title ?? "");
    const canStartNew = !app.conversation.isEmpty || app.conversation.id !== null;
    return html`<div class="header" part="header">
      ${isHistory
        ? html`<button type="button" class="icon-button back" aria-label=${app.translate("header.back")} title=${app.translate("header.back")} @click=${this.#leaveHistory}>${icon("chevron-left")}</button>`
        : header?.leftAction
          ? html`<button type="button" class="icon-button" part="header-action" aria-label=${header.leftAction.icon} @click=${() => header.leftAction?.onClick()}>${headerIcon(header.leftAction.icon)}</button>`
          : nothing}
      ${(header?.title?.enabled === false && !isHistory) || title === "" ? html`<span class="grow"></span>` : html`<h2 class="title" part="title" dir="auto">${title}</h2>`}
      ${canStartNew && !isHistory
        ? html`<button type="button" class="icon-button" part="new-thread-button" aria-label=${app.translate("header.newThread")} title=${app.translate("header.newThread")} @click=${this.#startNew}>${icon("compose")}</button>`
        : nothing}
      ${history?.enabled !== false && !isHistory
        ? html`<button type="button" class="icon-button history-button" part="history-button" aria-label=${app.translate("header.history")} title=${app.translate("header.history")} @click=${() => app.showHistory()}>${icon("history")}</button>`
        : nothing}
      ${header?.rightAction
        ? html`<button type="button" class="icon-button" part="header-action" aria-label=${header.rightAction.icon} @click=${() => header.rightAction?.onClick()}>${headerIcon(header.rightAction.icon)}</button>`
        : nothing}
    </div>`;
  }

  #thread(): TemplateResult {
    const app = this.#app;
    const { conversation } = app;
    const isStart = conversation.id === null && conversation.isEmpty && !conversation.isBusy;
    return html`<div class="body ${isStart ? "start" : ""}">
      ${isStart
        ? startScreen(app)
        : conversation.pages.loading && conversation.isEmpty
          ? html`<div class="loading" role="status">${spinner()}<span class="visually-hidden">${app.translate("thread.loading")}</span></div>`
          : conversation.pages.loadError && conversation.isEmpty
            ? html`<div class="loading"><div class="notice danger" part="error" role="alert">${icon("alert")}<div class="notice-text">${textOfFailure({ ...failureOf(conversation.pages.loadError), message: null }, app, "thread.loadFailed")}</div>
                ${signInLink(failureOf(conversation.pages.loadError), app.signInUrl, app.translate)}
                <button type="button" class="button small" @click=${() => app.reload()}>${app.translate("failure.retry")}</button></div></div>`
            : html`<ck-thread class="conversation" part="thread" .app=${app} .conversation=${conversation} .threadState=${conversation.state} .flags=${`${conversation.phase} ${conversation.reconnecting} ${conversation.pages.loadingOlder} ${conversation.pages.olderError !== null} ${conversation.pages.hasOlder} ${[...conversation.feedback.entries()].join()}`} .contentHost=${app.content}></ck-thread>`}
      ${this.#foot()}
    </div>`;
  }

  #foot(): TemplateResult {
    const app = this.#app;
    const { conversation, composer } = app;
    const { status } = conversation.state.thread ?? {};
    const lock = isOpen(conversation.state) ? null : status?.reason || app.translate(status?.type === "closed" ? "composer.closed" : "composer.locked");
    const { disclaimer } = app.options;
    return html`<div class="foot">
      <ck-composer .app=${app} .composer=${composer} .draft=${composer.draft} .isBusy=${conversation.isBusy} .isOpening=${conversation.isOpening} .isStopping=${conversation.phase === "stopping"}
        .canStop=${conversation.state.allowCancel} .lock=${lock} .choices=${`${composer.toolId} ${composer.model?.id} ${composer.complaints.length} ${composer.takesFiles} ${composer.takesSpeech}`} .settings=${app.options} .strings=${app.content}></ck-composer>
      ${disclaimer
        ? html`<div class="disclaimer ${disclaimer.highContrast ? "high" : ""}" part="disclaimer"><ck-markdown .text=${disclaimer.text} .streaming=${false} .annotations=${[]} .host=${app.content}></ck-markdown></div>`
        : nothing}
    </div>`;
  }

  readonly #startNew = (): void => {
    void this.#app.show(null).then(() => this.focusComposer());
  };

  readonly #leaveHistory = (): void => {
    this.#app.hideHistory();
    this.#returnFocus = true;
  };

  readonly #keyed = (event: KeyboardEvent): void => {
    if (event.key === "Escape" && this.#app.view === "history" && !event.defaultPrevented) this.#leaveHistory();
  };

  #composer(): ComposerView | null {
    return this.renderRoot.querySelector<ComposerView>("ck-composer");
  }

  /** The thread's view, for tests and for pages that script scrolling. */
  get threadView(): ThreadView | null {
    return this.renderRoot.querySelector<ThreadView>("ck-thread");
  }

  #requireOptions(): void {
    if (this.settings === null) throw new Error("Call setOptions first.");
  }

  /** Tells once that the element can be used; later than a frame, for listeners are attached late. */
  #announceReady(): void {
    if (this.#isReady || this.settings === null || !this.isConnected) return;
    this.#isReady = true;
    void nextFrame().then(() => setTimeout(() => this.#emit("chatkit.ready", undefined)));
  }

  #emit<K extends keyof AppEvents>(name: K, detail: AppEvents[K] | undefined): boolean {
    const event = new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: name === "chatkit.deeplink" });
    if (name !== "chatkit.deeplink") return !this.dispatchEvent(event);
    // Listeners from before the element was upgraded are not counted; they are known by what they read.
    let isRead = false;
    const get = (): unknown => {
      isRead ||= event.currentTarget === this;
      return detail;
    };
    Object.defineProperty(event, "detail", { get });
    return !this.dispatchEvent(event) || isRead || this.#deepLinkListeners.size > 0;
  }

  override addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void {
    if (type === "chatkit.deeplink" && listener) this.#deepLinkListeners.add(listener);
    super.addEventListener(type, listener as EventListener, options);
  }

  override removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void {
    if (type === "chatkit.deeplink" && listener) this.#deepLinkListeners.delete(listener);
    super.removeEventListener(type, listener as EventListener, options);
  }
}

function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(finish, LONGEST_FRAME);
    const frame = requestAnimationFrame(finish);
    function finish(): void {
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      resolve();
    }
  });
}

function contentOf({ text, content }: Outgoing): UserContent[] | undefined {
  if (content) return content.map((part) => (part.type === "input_tag" ? { ...part, data: part.data ?? {} } : part));
  return text === undefined ? undefined : [{ type: "input_text", text }];
}

/** The stock element's interface, kept by the compiler. */
export type PublicFace = Pick<OpenAIChatKit, "setOptions" | "focusComposer" | "setThreadId" | "sendCustomAction" | "sendUserMessage" | "setComposerValue" | "showHistory" | "hideHistory" | "fetchUpdates">;
