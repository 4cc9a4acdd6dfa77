/** The view of a conversation: its turns, progress and failures. Keeps to the newest message until the reader scrolls up. */

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { Conversation } from "../controllers/conversation";
import { textOfFailure } from "../controllers/failures";
import { signInLink } from "./signIn";
import { icon, namedIcon } from "../icons/icons";
import { isOpen, type Notice, type ThreadState } from "../state/thread";
import { TurnGrouping } from "../state/turns";
import { define, ShellView } from "./base";
import { feedbackKey, type TurnView } from "./turn";

/** How far from the end still counts as being there. */
const NEAR = 48;
/** How far from the oldest message the page before it is asked for. */
const AHEAD = 900;
/** How many older pages are read to find an item. */
const REVEALED_PAGES = 100;

export class ThreadView extends ShellView {
  @property({ attribute: false }) conversation!: Conversation;
  @property({ attribute: false }) threadState!: ThreadState;
  /** Flags of the conversation in one text, so that a change of one is seen. */
  @property({ attribute: false }) flags = "";
  @property({ attribute: false }) contentHost: unknown;
  @state() private isPinned = true;
  @state() private quote: { text: string; x: number; y: number } | null = null;

  #grouping = new TurnGrouping();
  #hasSent = false;
  #lastTop = 0;
  #lastHeight = 0;
  #anchor: { element: Element; top: number } | null = null;
  #resizes: ResizeObserver | null = null;

  override connectedCallback(): void {
    super.connectedCallback();
    document.addEventListener("selectionchange", this.#selection);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("selectionchange", this.#selection);
    this.#resizes?.disconnect();
    this.#resizes = null;
  }

  /** Goes to the newest message and stays there. */
  pin(smooth = false): void {
    this.isPinned = true;
    const scroller = this.#scroller();
    if (!scroller) return;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    scroller.scrollTo({ top: scroller.scrollHeight, behavior: smooth && !isCalm ? "smooth" : "instant" });
  }

  /** Goes to an item and gives it the focus, reading older pages until it is there; returns whether it is. */
  async reveal(itemId: string): Promise<boolean> {
    const { conversation } = this;
    const { pages } = conversation;
    const isThere = (): boolean => conversation.state.items.some((item) => item.id === itemId);
    this.isPinned = false;
    for (let page = 0; page < REVEALED_PAGES && !isThere() && pages.hasOlder; page += 1) {
      await pages.loadOlder();
      if (pages.olderError) break;
    }
    const turn = isThere() ? await this.#drawnTurn(itemId) : null;
    if (!turn || conversation !== this.conversation) return false;
    const article = turn.querySelector<HTMLElement>(turn.group.user?.id === itemId ? ".user" : ".answer") ?? turn;
    this.isPinned = false;
    article.tabIndex = -1;
    article.focus({ preventScroll: true });
    // Turns out of sight have their height only once they are near.
    for (let draws = 0; draws < 3; draws += 1) {
      article.scrollIntoView({ block: "start", behavior: "instant" });
      await new Promise((resolve) => setTimeout(resolve, 16));
    }
    article.classList.add("revealed");
    article.addEventListener("blur", () => article.classList.remove("revealed"), { once: true });
    return true;
  }

  /** The turn of an item, once it is drawn; what was read is drawn a frame later. */
  async #drawnTurn(itemId: string): Promise<TurnView | null> {
    for (let draws = 0; draws < 120; draws += 1) {
      const turn = [...this.querySelectorAll<TurnView>("ck-turn")].find(({ group }) => group.user?.id === itemId || group.answer.some((item) => item.id === itemId));
      if (turn) {
        await turn.updateComplete;
        return turn;
      }
      await new Promise((resolve) => setTimeout(resolve, 16));
    }
    return null;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("conversation")) {
      this.#grouping = new TurnGrouping();
      this.isPinned = true;
      this.quote = null;
      this.#anchor = null;
      return;
    }
    const before = changed.get("threadState") as ThreadState | undefined;
    if (!before) return;
    if (before.items[0] !== this.threadState.items[0]) this.#anchor = this.#findAnchor();
    // Who sends a message wants to see the answer.
    this.#hasSent = this.threadState.optimisticId !== null && before.optimisticId !== this.threadState.optimisticId;
  }

  protected override updated(changed: PropertyValues<this>): void {
    this.#observe();
    if (changed.has("conversation") || this.#hasSent) this.pin();
    this.#hasSent = false;
    if (this.#anchor) {
      const scroller = this.#scroller();
      const moved = this.#anchor.element.getBoundingClientRect().top - this.#anchor.top;
      if (scroller && Math.abs(moved) > 1 && this.#anchor.element.isConnected) scroller.scrollTop += moved;
      this.#anchor = null;
    }
    this.#fill();
  }

  protected override render(): TemplateResult {
    const { conversation, threadState } = this;
    const groups = this.#grouping.group(threadState.items, threadState.aliases);
    return html`
      <div class="scroller" tabindex="0" role="region" aria-label=${this.t("thread.label")} @scroll=${this.#scrolled} @pointerup=${this.#offerQuote}
        @ck-quote=${(event: CustomEvent<string>) => this.#useQuote(event.detail)}>
        <div class="column" part="messages" aria-busy=${conversation.isBusy || conversation.pages.loading}>
          ${conversation.pages.loadingOlder ? html`<div class="older" role="status">${spinner()}<span class="visually-hidden">${this.t("thread.older")}</span></div>` : nothing}
          ${conversation.pages.olderError
            ? html`<div class="older"><div class="notice danger" part="error" role="alert">${icon("alert")}<div class="notice-text">${this.t("thread.olderFailed")}</div>
                <button type="button" class="button small" @click=${() => conversation.pages.loadOlder()}>${icon("reload")}${this.t("failure.retry")}</button></div></div>`
            : nothing}
          ${repeat(
            groups,
            (group) => group.key,
            (group, index) => {
              const isLast = index === groups.length - 1;
              return html`<ck-turn class="turn" part="turn" .app=${this.app} .group=${group} .host=${this.app.content} .isLast=${isLast}
                .isBusy=${isLast && conversation.isBusy} .pending=${isLast ? threadState.pending : null}
                .isOpen=${isOpen(threadState)} .isUnsent=${isLast && group.user?.id === threadState.optimisticId && threadState.failure !== null}
                .feedback=${conversation.feedback.get(feedbackKey(group) ?? "")}></ck-turn>`;
            },
          )}
          ${this.#activity()} ${threadState.notices.map((notice) => this.#notice(notice))} ${this.#failure()}
        </div>
      </div>
      ${this.isPinned ? nothing : this.#jump()} ${this.quote ? this.#quoteButton(this.quote) : nothing}
    `;
  }

  #activity(): TemplateResult | typeof nothing {
    const { conversation, threadState } = this;
    if (conversation.reconnecting) return html`<div class="progress" part="progress" role="status">${icon("offline")}<span class="shimmer">${this.t("thread.reconnecting")}</span></div>`;
    if (threadState.progress) {
      const { icon: name, text } = threadState.progress;
      return html`<div class="progress" part="progress" role="status">${name ? namedIcon(name) : nothing}<span class="shimmer" dir="auto">${text}</span></div>`;
    }
    if (!conversation.isBusy) return nothing;
    const last = threadState.items.at(-1);
    if (last?.type === "client_tool_call" && last.status === "pending") {
      return html`<div class="progress" part="progress">${spinner()}<span class="shimmer">${this.t("thread.runningTool", { name: last.name })}</span></div>`;
    }
    const isTalking = last !== undefined && last.type !== "user_message" && threadState.pending.has(last.id);
    const hasText = last?.type !== "assistant_message" || last.content.some((part) => part.text !== "");
    if (isTalking && hasText) return nothing;
    return html`<div class="progress thinking" part="progress"><span class="dots" aria-hidden="true"><i></i><i></i><i></i></span>
      <span class="visually-hidden">${this.t("thread.thinking")}</span></div>`;
  }

  #notice(notice: Notice): TemplateResult {
    return html`<div class="notice ${notice.level}" part="notice" role=${notice.level === "danger" ? "alert" : "status"}>
      ${icon(notice.level === "info" ? "info" : "warning")}
      <div class="notice-text" dir="auto">${notice.title ? html`<strong>${notice.title}</strong>` : nothing}
        <ck-markdown .text=${notice.message} .streaming=${false} .annotations=${[]} .host=${this.app.content}></ck-markdown></div>
      <button type="button" class="icon-button small" aria-label=${this.t("notice.dismiss")} @click=${() => this.conversation.dismissNotice(notice.key)}>${icon("close")}</button>
    </div>`;
  }

  #failure(): TemplateResult | typeof nothing {
    const { failure } = this.threadState;
    if (!failure || this.conversation.isBusy) return nothing;
    return html`<div class="notice danger" part="error" role="alert">${icon("alert")}
      <div class="notice-text" dir="auto">${textOfFailure(failure, this.app)}</div>
      ${signInLink(failure, this.app.signInUrl, this.t)}
      ${failure.allowRetry ? html`<button type="button" class="button small" @click=${() => this.conversation.retry()}>${icon("reload")}${this.t("failure.retry")}</button>` : nothing}
      <button type="button" class="icon-button small" aria-label=${this.t("failure.dismiss")} @click=${() => this.conversation.dismissFailure()}>${icon("close")}</button>
    </div>`;
  }

  #jump(): TemplateResult {
    return html`<button type="button" class="jump ${this.conversation.isBusy ? "live" : ""}" part="jump-button" aria-label=${this.t("thread.jump")}
      title=${this.t("thread.jump")} @click=${() => this.pin(true)}>${icon("arrow-down")}</button>`;
  }

  #quoteButton(quote: { x: number; y: number; text: string }): TemplateResult {
    return html`<button type="button" class="quote-button" part="quote-button" @pointerdown=${(event: Event) => event.preventDefault()}
      @click=${() => this.#useQuote(quote.text)}>${icon("quote")}${this.t("quote.action")}</button>`;
  }

  #useQuote(text: string): void {
    this.quote = null;
    this.app.composer.edit({ quote: text.length > 2000 ? `${text.slice(0, 2000)}…` : text });
    this.dispatchEvent(new CustomEvent("ck-focus-composer", { bubbles: true, composed: true }));
  }

  readonly #offerQuote = (event: PointerEvent): void => {
    const isAnswer = event.composedPath().some((target) => target instanceof Element && target.classList.contains("answer"));
    const { clientX: x, clientY: y } = event;
    setTimeout(() => {
      const text = selectedText();
      if (!isAnswer || text.length < 2) return;
      const frame = this.getBoundingClientRect();
      this.quote = { text, x: x - frame.left, y: y - frame.top };
      void this.updateComplete.then(() => {
        const button = this.querySelector<HTMLElement>(".quote-button");
        // Set by script, for a style attribute would need a laxer policy of the page.
        button?.style.setProperty("left", `${Math.min(Math.max(x - frame.left, 50), frame.width - 50)}px`);
        button?.style.setProperty("top", `${Math.max(y - frame.top - 44, 4)}px`);
      });
    });
  };

  readonly #selection = (): void => {
    if (this.quote && selectedText() === "") this.quote = null;
  };

  readonly #scrolled = (): void => {
    const scroller = this.#scroller();
    if (!scroller) return;
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    const isNear = scrollHeight - scrollTop - clientHeight < NEAR;
    // What shrinks moves the position up as well; only a reader who scrolls lets go of the end.
    const hasScrolledUp = scrollTop < this.#lastTop - 1 && scrollHeight >= this.#lastHeight;
    if (isNear && !hasScrolledUp) this.isPinned = true;
    else if (hasScrolledUp && !isNear) this.isPinned = false;
    this.#lastTop = scrollTop;
    this.#lastHeight = scrollHeight;
    this.quote = null;
    this.#fill();
  };

  /** Asks for older messages while the oldest ones are near. */
  #fill(): void {
    const scroller = this.#scroller();
    const { hasOlder, loadingOlder, olderError, loading } = this.conversation.pages;
    // What has failed is asked for again by hand, or when the network is back: not each time that something is drawn.
    if (!scroller || !hasOlder || loadingOlder || olderError || loading) return;
    if (scroller.clientHeight > 0 && scroller.scrollTop < AHEAD) void this.conversation.pages.loadOlder();
  }

  /** The first turn in sight, which has to stay where it is when older ones come in above it. */
  #findAnchor(): { element: Element; top: number } | null {
    const top = this.#scroller()?.getBoundingClientRect().top ?? 0;
    for (const element of this.querySelectorAll(".turn")) {
      const rect = element.getBoundingClientRect();
      if (rect.bottom > top) return { element, top: rect.top };
    }
    return null;
  }

  #observe(): void {
    if (this.#resizes) return;
    const scroller = this.#scroller();
    const column = this.querySelector(".column");
    if (!scroller || !column) return;
    this.#resizes = new ResizeObserver(() => {
      const mayFollow = this.app.options.thread?.autoScroll !== false || !this.conversation.isBusy;
      if (this.isPinned && mayFollow) scroller.scrollTop = scroller.scrollHeight;
      this.#lastHeight = scroller.scrollHeight;
      this.#lastTop = scroller.scrollTop;
    });
    this.#resizes.observe(column);
    this.#resizes.observe(scroller);
  }

  #scroller(): HTMLElement | null {
    return this.querySelector(".scroller");
  }
}

export function spinner(): TemplateResult {
  return html`<span class="spinner" aria-hidden="true"></span>`;
}

function selectedText(): string {
  return document.getSelection()?.toString().trim() ?? "";
}

define("ck-thread", ThreadView);
