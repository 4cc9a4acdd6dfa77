/** The list of conversations, with renaming and deleting. */

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { ageOf, type History } from "../controllers/history";
import { icon } from "../icons/icons";
import type { Thread } from "../protocol/wire";
import { define, ShellView } from "./base";
import "./menu";
import type { MenuEntry } from "./menu";
import { spinner } from "./thread";

export class HistoryView extends ShellView {
  @property({ attribute: false }) history!: History;
  @property({ attribute: false }) threads: readonly Thread[] = [];
  /** Flags of the list in one text, so that a change of one is seen. */
  @property({ attribute: false }) flags = "";
  @state() private renaming: string | null = null;
  @state() private deleting: string | null = null;

  #watcher: IntersectionObserver | null = null;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#watcher?.disconnect();
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has("renaming") && this.renaming !== null) this.querySelector<HTMLInputElement>(".rename input")?.select();
    if (changed.has("deleting") && this.deleting !== null) this.querySelector<HTMLElement>(".confirm .danger")?.focus();
    const more = this.querySelector(".more");
    this.#watcher?.disconnect();
    if (!more) return;
    this.#watcher = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) void this.history.loadMore();
    });
    this.#watcher.observe(more);
  }

  protected override render(): TemplateResult {
    const { history } = this;
    let age: string | null = null;
    const now = new Date();
    return html`<section class="history" part="history" aria-label=${this.t("history.title")} aria-busy=${history.loading}>
      ${history.error
        ? html`<div class="notice danger" role="alert">${icon("alert")}<div class="notice-text">${this.t("history.failed")}</div>
            <button type="button" class="button small" @click=${() => history.load()}>${this.t("failure.retry")}</button></div>`
        : nothing}
      ${history.loaded && this.threads.length === 0 && !history.error ? html`<p class="empty">${this.t("history.empty")}</p>` : nothing}
      ${!history.loaded && history.loading ? html`<div class="older" role="status">${spinner()}<span class="visually-hidden">${this.t("history.loading")}</span></div>` : nothing}
      <ul class="threads">
        ${repeat(
          this.threads,
          (thread) => thread.id,
          (thread) => {
            const own = ageOf(thread.created_at, now);
            const heading = own === age ? nothing : html`<li class="age">${this.t(`history.${own}`)}</li>`;
            age = own;
            return html`${heading}${this.#thread(thread)}`;
          },
        )}
      </ul>
      ${history.hasMore ? html`<button type="button" class="button ghost more" ?disabled=${history.loading} @click=${() => history.loadMore()}>${this.t("history.more")}</button>` : nothing}
    </section>`;
  }

  #thread(thread: Thread): TemplateResult {
    const title = thread.title || this.t("header.untitled");
    if (this.renaming === thread.id) return this.#rename(thread);
    if (this.deleting === thread.id) return this.#confirm(thread, title);
    const isCurrent = this.app.conversation.id === thread.id;
    const { showDelete, showRename } = this.app.options.history ?? {};
    const entries: MenuEntry[] = [];
    if (showRename !== false) entries.push({ id: "rename", label: this.t("history.rename"), icon: icon("pencil"), select: () => (this.renaming = thread.id) });
    if (showDelete !== false) entries.push({ id: "delete", label: this.t("history.delete"), icon: icon("trash"), danger: true, select: () => (this.deleting = thread.id) });
    return html`<li class="thread ${isCurrent ? "current" : ""}" part="history-item">
      <button type="button" class="thread-title" dir="auto" aria-current=${isCurrent ? "true" : nothing} title=${title} @click=${() => this.app.show(thread.id)}>${title}</button>
      ${entries.length > 0 ? html`<ck-menu .label=${this.t("history.actions", { title })} .entries=${entries} .trigger=${icon("more")} .buttonClass=${"icon-button small"} .alignsEnd=${true}></ck-menu>` : nothing}
    </li>`;
  }

  #rename(thread: Thread): TemplateResult {
    return html`<li class="thread rename"><form @submit=${(event: Event) => this.#saveTitle(event, thread)}>
      <input name="title" dir="auto" maxlength="200" required .value=${thread.title ?? ""} aria-label=${this.t("history.titleLabel")} @keydown=${this.#escape} />
      <button type="submit" class="icon-button small" aria-label=${this.t("history.save")} title=${this.t("history.save")}>${icon("check")}</button>
      <button type="button" class="icon-button small" aria-label=${this.t("history.cancel")} title=${this.t("history.cancel")} @click=${() => (this.renaming = null)}>${icon("close")}</button>
    </form></li>`;
  }

  #confirm(thread: Thread, title: string): TemplateResult {
    return html`<li class="thread confirm" role="alertdialog" aria-label=${this.t("history.delete")} @keydown=${this.#escape}>
      <p dir="auto">${this.t("history.confirmDelete", { title })}</p>
      <div class="row end"><button type="button" class="button ghost small" @click=${() => (this.deleting = null)}>${this.t("history.cancel")}</button>
      <button type="button" class="button small danger" @click=${() => this.#delete(thread)}>${this.t("history.delete")}</button></div></li>`;
  }

  readonly #escape = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    this.renaming = null;
    this.deleting = null;
  };

  async #saveTitle(event: Event, thread: Thread): Promise<void> {
    event.preventDefault();
    const title = String(new FormData(event.target as HTMLFormElement).get("title") ?? "").trim();
    if (title === "") return;
    this.renaming = null;
    try {
      await this.history.rename(thread.id, title);
      this.app.onRenamed(thread.id, title);
    } catch {
      this.app.announce(this.t("failure.generic"));
    }
  }

  async #delete(thread: Thread): Promise<void> {
    this.deleting = null;
    try {
      await this.history.delete(thread.id);
      this.app.forget(thread.id);
      this.app.announce(this.t("history.deleted"));
    } catch {
      this.app.announce(this.t("failure.generic"));
    }
  }
}

define("ck-history", HistoryView);
