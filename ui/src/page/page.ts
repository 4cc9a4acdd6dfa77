/** The page of `chatkit serve`: a sidebar of threads beside the element, the thread in the address. */

import "./page.css";
import type { OpenAIChatKit } from "@openai/chatkit";
import { html, LitElement, nothing, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import type { MenuEntry } from "../views/menu";
import "../views/menu";
import { ageOf, History } from "../controllers/history";
import { icon } from "../icons/icons";
import { ProtocolClient } from "../protocol/client";
import type { Thread } from "../protocol/wire";
import { english, format, isRightToLeft, loadTable } from "../strings";
import { base } from "../styles/base";
import { thread as threadStyles } from "../styles/thread";
import { schemeOf, sheetOf, variablesOf } from "../theme/theme";
import { sidebar } from "./styles";

interface PageOptions {
  url: string;
  title: string;
  attachments: boolean;
  upload: string | null;
  prompts: { label: string; prompt: string; icon?: string }[];
  feedback: boolean;
}

const told = document.querySelector<HTMLMetaElement>('meta[name="chatkit-page"]')?.content ?? "{}";
const page = { url: "/chatkit", title: "Chat", attachments: false, upload: null, prompts: [], feedback: true, ...(JSON.parse(told) as Partial<PageOptions>) } as PageOptions;
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 52em)");
const asked = new URLSearchParams(location.search);
const locale = asked.get("locale") ?? navigator.language;

function scheme(): "light" | "dark" {
  const wanted = asked.get("theme");
  return wanted === "dark" || wanted === "light" ? wanted : dark.matches ? "dark" : "light";
}

function threadOfAddress(): string | null {
  return new URLSearchParams(location.search).get("thread");
}

function remember(threadId: string | null): void {
  if (threadOfAddress() === threadId) return;
  const url = new URL(location.href);
  if (threadId === null) url.searchParams.delete("thread");
  else url.searchParams.set("thread", threadId);
  // Going back leads to the thread before, but not to a new one that has become this one.
  history.pushState({ threadId }, "", url);
}

class Sidebar extends LitElement {
  static override styles = [base, threadStyles, sidebar];

  @property({ attribute: false }) chat!: OpenAIChatKit;
  @state() private current: string | null = threadOfAddress();
  @state() private renaming: string | null = null;
  @state() private deleting: string | null = null;
  @state() private isOpen = false;

  readonly #client = new ProtocolClient(() => ({ url: page.url }));
  readonly list = new History(this.#client, () => this.requestUpdate(), () => undefined);
  readonly #sheet = new CSSStyleSheet();
  #table = english();

  readonly t = (key: string, args?: Record<string, string | number>): string => format(this.#table, key, args);

  override connectedCallback(): void {
    super.connectedCallback();
    void this.list.load();
    void loadTable(locale).then((table) => {
      this.#table = table;
      this.requestUpdate();
    });
  }

  applyTheme(): void {
    this.#sheet.replaceSync(sheetOf(variablesOf(scheme()), schemeOf(scheme())));
  }

  follow(threadId: string | null): void {
    this.current = threadId;
    remember(threadId);
    document.title = page.title;
  }

  toggle(open = !this.isOpen): void {
    this.isOpen = open;
    this.classList.toggle("open", open);
    if (open) void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>(".new")?.focus());
  }

  protected override createRenderRoot(): HTMLElement | DocumentFragment {
    const root = super.createRenderRoot() as ShadowRoot;
    root.adoptedStyleSheets = [this.#sheet, ...root.adoptedStyleSheets];
    this.applyTheme();
    return root;
  }

  protected override render(): TemplateResult {
    const { list } = this;
    let age: string | null = null;
    const now = new Date();
    return html`<div class="shade" @click=${() => this.toggle(false)}></div>
    <nav class="panel" aria-label=${this.t("history.title")} @keydown=${(event: KeyboardEvent) => event.key === "Escape" && this.toggle(false)}>
      <div class="top"><span class="brand">${page.title}</span></div>
      <button type="button" class="new" @click=${() => this.#go(null)}>${icon("compose")}${this.t("header.newThread")}</button>
      <div class="list">
        ${list.error ? html`<p class="empty">${this.t("history.failed")} <button type="button" class="button small" @click=${() => list.load()}>${this.t("failure.retry")}</button></p>` : nothing}
        ${list.loaded && list.threads.length === 0 ? html`<p class="empty">${this.t("history.empty")}</p>` : nothing}
        <ul class="threads">${list.threads.map((thread) => {
          const own = ageOf(thread.created_at, now);
          const heading = own === age ? nothing : html`<li class="age">${this.t(`history.${own}`)}</li>`;
          age = own;
          return html`${heading}${this.#thread(thread)}`;
        })}</ul>
        ${list.hasMore ? html`<button type="button" class="button ghost more" ?disabled=${list.loading} @click=${() => list.loadMore()}>${this.t("history.more")}</button>` : nothing}
      </div>
    </nav>`;
  }

  #thread(thread: Thread): TemplateResult {
    const title = thread.title || this.t("header.untitled");
    const isCurrent = thread.id === this.current;
    if (this.renaming === thread.id) {
      return html`<li class="thread rename"><form @submit=${(event: Event) => this.#rename(event, thread)} @keydown=${(event: KeyboardEvent) => event.key === "Escape" && (this.renaming = null)}>
        <input name="title" dir="auto" maxlength="200" required autofocus .value=${thread.title ?? ""} aria-label=${this.t("history.titleLabel")} />
        <button type="submit" class="icon-button small" aria-label=${this.t("history.save")}>${icon("check")}</button></form></li>`;
    }
    if (this.deleting === thread.id) {
      return html`<li class="thread confirm" role="alertdialog" aria-label=${this.t("history.delete")}><p dir="auto">${this.t("history.confirmDelete", { title })}</p>
        <div class="row end"><button type="button" class="button ghost small" @click=${() => (this.deleting = null)}>${this.t("history.cancel")}</button>
        <button type="button" class="button small danger" @click=${() => this.#delete(thread)}>${this.t("history.delete")}</button></div></li>`;
    }
    const entries: MenuEntry[] = [
      { id: "rename", label: this.t("history.rename"), icon: icon("pencil"), select: () => (this.renaming = thread.id) },
      { id: "delete", label: this.t("history.delete"), icon: icon("trash"), danger: true, select: () => (this.deleting = thread.id) },
    ];
    return html`<li class="thread ${isCurrent ? "current" : ""}">
      <button type="button" class="thread-title" dir="auto" title=${title} aria-current=${isCurrent ? "page" : nothing} @click=${() => this.#go(thread.id)}>${title}</button>
      <ck-menu .label=${this.t("history.actions", { title })} .entries=${entries} .trigger=${icon("more")} .buttonClass=${"icon-button small"} .alignsEnd=${true}></ck-menu></li>`;
  }

  #go(threadId: string | null): void {
    this.toggle(false);
    void this.chat.setThreadId(threadId).then(() => this.chat.focusComposer());
  }

  async #rename(event: Event, thread: Thread): Promise<void> {
    event.preventDefault();
    const title = String(new FormData(event.target as HTMLFormElement).get("title") ?? "").trim();
    this.renaming = null;
    if (title === "") return;
    await this.list.rename(thread.id, title).catch(() => undefined);
    if (thread.id === this.current) await this.chat.fetchUpdates().catch(() => undefined);
  }

  async #delete(thread: Thread): Promise<void> {
    this.deleting = null;
    await this.list.delete(thread.id).catch(() => undefined);
    if (thread.id === this.current) await this.chat.setThreadId(null);
  }
}
customElements.define("chatkit-sidebar", Sidebar);

async function start(): Promise<void> {
  await customElements.whenDefined("openai-chatkit");
  const chat = document.querySelector<OpenAIChatKit>("openai-chatkit");
  if (!chat) return;
  const bar = document.createElement("chatkit-sidebar") as Sidebar;
  bar.chat = chat;

  document.documentElement.lang = locale;
  document.documentElement.dir = isRightToLeft(locale) ? "rtl" : "ltr";
  document.title = page.title;
  chat.before(bar);

  const configure = (): void => {
    document.documentElement.dataset["theme"] = scheme();
    bar.applyTheme();
    chat.setOptions({
      api: { url: page.url, domainKey: "local", uploadStrategy: page.upload ? { type: "direct", uploadUrl: page.upload } : { type: "two_phase" } },
      locale: locale as never,
      theme: scheme(),
      frameTitle: page.title,
      initialThread: threadOfAddress(),
      // The sidebar is the list of conversations here.
      history: { enabled: false },
      header: narrow.matches ? { leftAction: { icon: "menu", onClick: () => bar.toggle() } } : {},
      startScreen: { prompts: page.prompts as never },
      composer: { attachments: { enabled: page.attachments } },
      threadItemActions: { feedback: page.feedback, retry: true },
      onClientTool: ({ name }) => runTool(name),
    });
  };
  chat.addEventListener("chatkit.thread.change", (event) => {
    bar.follow(event.detail.threadId);
    void bar.list.load();
  });
  chat.addEventListener("chatkit.response.end", () => void bar.list.load());
  addEventListener("popstate", () => void chat.setThreadId(threadOfAddress()));
  dark.addEventListener("change", configure);
  narrow.addEventListener("change", configure);
  configure();
  await chat.focusComposer();
}

/** The one tool that this page has, for the built-in guide. */
function runTool(name: string): Record<string, unknown> {
  if (name !== "get_local_time") throw new Error(`This page has no tool ${name}.`);
  return { time: new Date().toISOString(), time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone };
}

void start();
