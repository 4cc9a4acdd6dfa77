/** The rows of a list of conversations: opening, renaming and deleting them. Drawn into the tree of who shows it. */

import { html, LitElement, nothing, type PropertyValues, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import type { Translate } from "../contracts";
import { ageOf, type History } from "../controllers/history";
import { icon } from "../icons/icons";
import type { Thread } from "../protocol/wire";
import { define } from "./base";
import "./menu";
import type { MenuEntry } from "./menu";

/** What the one who shows the list does with what happens in it. */
export interface ThreadListHost {
  readonly translate: Translate;
  open(threadId: string): void;
  renamed(threadId: string, title: string): void;
  deleted(threadId: string): void;
  announce(text: string): void;
}

export class ThreadListView extends LitElement {
  @property({ attribute: false }) host!: ThreadListHost;
  @property({ attribute: false }) list!: History;
  @property({ attribute: false }) threads: readonly Thread[] = [];
  @property({ attribute: false }) current: string | null = null;
  @property({ attribute: false }) canRename = true;
  @property({ attribute: false }) canDelete = true;
  /** Another object whenever the texts are others. */
  @property({ attribute: false }) strings: unknown;
  @state() private renaming: string | null = null;
  @state() private deleting: string | null = null;

  /** The row that gets the focus back when its form has gone. */
  #returnTo: string | null = null;

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has("renaming") && this.renaming !== null) this.querySelector<HTMLInputElement>(".rename input")?.select();
    if (changed.has("deleting") && this.deleting !== null) this.querySelector<HTMLElement>(".confirm .danger")?.focus();
    if (this.#returnTo === null) return;
    const row = [...this.querySelectorAll<HTMLElement>("[data-thread]")].find((entry) => entry.dataset["thread"] === this.#returnTo);
    this.#returnTo = null;
    const menu = row?.querySelector<HTMLElement>("ck-menu");
    // The menu of a row that has just been drawn has no button yet.
    queueMicrotask(() => menu?.querySelector("button")?.focus());
  }

  protected override render(): TemplateResult {
    let age: string | null = null;
    const now = new Date();
    return html`<ul class="threads">
      ${repeat(
        this.threads,
        (thread) => thread.id,
        (thread) => {
          const own = ageOf(thread.created_at, now);
          const heading = own === age ? nothing : html`<li class="age">${this.host.translate(`history.${own}`)}</li>`;
          age = own;
          return html`${heading}${this.#thread(thread)}`;
        },
      )}
    </ul>`;
  }

  #thread(thread: Thread): TemplateResult {
    const t = this.host.translate;
    const title = thread.title || t("header.untitled");
    if (this.renaming === thread.id) return this.#rename(thread);
    if (this.deleting === thread.id) return this.#confirm(thread, title);
    const isCurrent = this.current === thread.id;
    const entries: MenuEntry[] = [];
    if (this.canRename) entries.push({ id: "rename", label: t("history.rename"), icon: icon("pencil"), keepsFocus: true, select: () => (this.renaming = thread.id) });
    if (this.canDelete) entries.push({ id: "delete", label: t("history.delete"), icon: icon("trash"), danger: true, keepsFocus: true, select: () => (this.deleting = thread.id) });
    return html`<li class="thread ${isCurrent ? "current" : ""}" part="history-item" data-thread=${thread.id}>
      <button type="button" class="thread-title" dir="auto" aria-current=${isCurrent ? "page" : nothing} title=${title} @click=${() => this.host.open(thread.id)}>${title}</button>
      ${entries.length > 0 ? html`<ck-menu .label=${t("history.actions", { title })} .entries=${entries} .trigger=${icon("more")} .buttonClass=${"icon-button small"} .alignsEnd=${true}></ck-menu>` : nothing}
    </li>`;
  }

  #rename(thread: Thread): TemplateResult {
    const t = this.host.translate;
    return html`<li class="thread rename" data-thread=${thread.id}><form @submit=${(event: Event) => this.#saveTitle(event, thread)} @keydown=${this.#escape}>
      <input name="title" dir="auto" maxlength="200" required autocomplete="off" .value=${thread.title ?? ""} aria-label=${t("history.titleLabel")} />
      <button type="submit" class="icon-button small" aria-label=${t("history.save")} title=${t("history.save")}>${icon("check")}</button>
      <button type="button" class="icon-button small" aria-label=${t("history.cancel")} title=${t("history.cancel")} @click=${this.#cancel}>${icon("close")}</button>
    </form></li>`;
  }

  #confirm(thread: Thread, title: string): TemplateResult {
    const t = this.host.translate;
    return html`<li class="thread confirm" data-thread=${thread.id}><div role="alertdialog" aria-label=${t("history.delete")} aria-describedby="confirm-delete" @keydown=${this.#escape}>
      <p dir="auto" id="confirm-delete">${t("history.confirmDelete", { title })}</p>
      <div class="row end"><button type="button" class="button ghost small" @click=${this.#cancel}>${t("history.cancel")}</button>
      <button type="button" class="button small danger" @click=${() => this.#delete(thread)}>${t("history.delete")}</button></div></div></li>`;
  }

  readonly #escape = (event: KeyboardEvent): void => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    this.#cancel();
  };

  readonly #cancel = (): void => {
    this.#returnTo = this.renaming ?? this.deleting;
    this.renaming = null;
    this.deleting = null;
  };

  async #saveTitle(event: Event, thread: Thread): Promise<void> {
    event.preventDefault();
    const title = String(new FormData(event.target as HTMLFormElement).get("title") ?? "").trim();
    if (title === "") return;
    this.#cancel();
    try {
      await this.list.rename(thread.id, title);
      this.host.renamed(thread.id, title);
    } catch {
      this.host.announce(this.host.translate("failure.generic"));
    }
  }

  async #delete(thread: Thread): Promise<void> {
    const index = this.threads.findIndex((known) => known.id === thread.id);
    const neighbour = this.threads[index + 1] ?? this.threads[index - 1];
    this.deleting = null;
    this.#returnTo = neighbour?.id ?? null;
    try {
      await this.list.delete(thread.id);
      this.host.deleted(thread.id);
      this.host.announce(this.host.translate("history.deleted"));
    } catch {
      this.host.announce(this.host.translate("failure.generic"));
    }
  }
}

define("ck-threads", ThreadListView);
