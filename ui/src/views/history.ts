/** The list of conversations inside the element. */

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { property } from "lit/decorators.js";
import { failureOf, textOfFailure } from "../controllers/failures";
import type { History } from "../controllers/history";
import { icon } from "../icons/icons";
import type { Thread } from "../protocol/wire";
import { define, ShellView } from "./base";
import { flagsOf, searchField, type SearchHost } from "./search";
import { signInLink } from "./signIn";
import { spinner } from "./thread";
import "./threads";
import type { ThreadListHost } from "./threads";

export class HistoryView extends ShellView {
  @property({ attribute: false }) history!: History;
  @property({ attribute: false }) threads: readonly Thread[] = [];
  /** Flags of the list in one text, so that a change of one is seen. */
  @property({ attribute: false }) flags = "";

  #watcher: IntersectionObserver | null = null;

  readonly #host: ThreadListHost = {
    translate: this.t,
    open: (threadId) => {
      void this.app.show(threadId);
      this.dispatchEvent(new CustomEvent("ck-focus-composer", { bubbles: true, composed: true }));
    },
    renamed: (threadId, title) => this.app.onRenamed(threadId, title),
    deleted: (threadId) => this.app.forget(threadId),
    announce: (text) => this.app.announce(text),
  };

  readonly #searchHost: SearchHost = {
    translate: this.t,
    open: (threadId, itemId) => {
      const { shadow } = this;
      void this.app.show(threadId).then(() => {
        const name = itemId === null ? "ck-focus-composer" : "ck-reveal";
        // This view is gone by now.
        shadow.querySelector(".root")?.dispatchEvent(new CustomEvent(name, { detail: itemId }));
      });
    },
  };

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#watcher?.disconnect();
  }

  protected override updated(_changed: PropertyValues): void {
    const more = this.app.search.isActive ? null : this.querySelector(".more");
    this.#watcher?.disconnect();
    if (!more) return;
    this.#watcher = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) void this.history.loadMore();
    });
    this.#watcher.observe(more);
  }

  protected override render(): TemplateResult {
    const { app, history } = this;
    const { showDelete, showRename } = app.options.history ?? {};
    return html`<section class="history" part="history" aria-label=${this.t("history.title")} aria-busy=${history.loading}>
      ${searchField(app.search, this.t)}
      ${app.search.isActive
        ? html`<ck-found .host=${this.#searchHost} .search=${app.search} .found=${app.search.found} .current=${app.conversation.id} .flags=${flagsOf(app.search)} .strings=${app.content}></ck-found>`
        : this.#list(showRename !== false, showDelete !== false)}
    </section>`;
  }

  #list(canRename: boolean, canDelete: boolean): TemplateResult {
    const { app, history } = this;
    return html`
      ${history.error
        ? html`<div class="notice danger" part="error" role="alert">${icon("alert")}<div class="notice-text">${this.t("history.failed")} ${textOfFailure({ ...failureOf(history.error), message: null }, app)}</div>
            ${signInLink(failureOf(history.error), app.signInUrl, this.t)}
            <button type="button" class="button small" @click=${() => history.load()}>${this.t("failure.retry")}</button></div>`
        : nothing}
      ${history.loaded && this.threads.length === 0 && !history.error ? html`<p class="empty">${this.t("history.empty")}</p>` : nothing}
      ${!history.loaded && history.loading ? html`<div class="older" role="status">${spinner()}<span class="visually-hidden">${this.t("history.loading")}</span></div>` : nothing}
      <ck-threads .host=${this.#host} .list=${history} .threads=${this.threads} .current=${app.conversation.id} .strings=${app.content}
        .canRename=${canRename} .canDelete=${canDelete}></ck-threads>
      ${history.hasMore ? html`<button type="button" class="button ghost more" ?disabled=${history.loading} @click=${() => history.loadMore()}>${this.t("history.more")}</button>` : nothing}`;
  }
}

define("ck-history", HistoryView);
