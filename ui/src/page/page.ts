/** The page of `chatkit serve`: a sidebar of threads beside the element, the thread in the address. */

import "./page.css";
import type { OpenAIChatKit } from "@openai/chatkit";
import { html, LitElement, nothing, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import { failureOf, textOfFailure } from "../controllers/failures";
import { History } from "../controllers/history";
import { ThreadSearch } from "../controllers/search";
import { Tabs } from "../controllers/tabs";
import { icon } from "../icons/icons";
import { ProtocolClient } from "../client/client";
import { english, format, isRightToLeft, loadTable } from "../strings";
import { base } from "../styles/base";
import { thread as threadStyles } from "../styles/thread";
import { schemeOf, sheetOf, variablesOf } from "../theme/theme";
import { signInLink } from "../views/signIn";
import { flagsOf, searchField, type SearchHost } from "../views/search";
import "../views/threads";
import type { ThreadListHost } from "../views/threads";
import { sidebar } from "./styles";

interface PageOptions {
  url: string;
  title: string;
  attachments: boolean;
  upload: string | null;
  signIn: string | undefined;
  prompts: { label: string; prompt: string; icon?: string }[];
  feedback: boolean;
}

const told = document.querySelector<HTMLMetaElement>('meta[name="chatkit-page"]')?.content ?? "{}";
const page = { url: "/chatkit", title: "Chat", attachments: false, upload: null, signIn: undefined, prompts: [], feedback: true, ...(JSON.parse(told) as Partial<PageOptions>) } as PageOptions;
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
  @state() private isOpen = false;
  @state() private announcement = "";

  readonly #client = new ProtocolClient(() => ({ url: page.url }));
  readonly list = new History(this.#client, () => this.requestUpdate(), () => undefined);
  readonly search = new ThreadSearch(this.#client, () => this.requestUpdate());
  readonly #sheet = new CSSStyleSheet();
  /** Elements that show a thread hear of its new title and of its end, this page's own among them, and tell of theirs. */
  readonly #tabs = new Tabs(() => page.url, () => void this.list.load());
  #table = english();

  #opener: HTMLElement | null = null;

  readonly #host: ThreadListHost = {
    translate: (key, args) => this.t(key, args),
    open: (threadId) => this.#go(threadId),
    renamed: (threadId) => {
      this.#tabs.tell(threadId);
      if (threadId === this.current) void this.chat.fetchUpdates().catch(() => undefined);
    },
    deleted: (threadId) => {
      if (threadId === this.current) void this.chat.setThreadId(null);
      this.#tabs.tell(threadId);
    },
    announce: (text) => {
      this.announcement = text;
    },
  };

  readonly #searchHost: SearchHost = {
    translate: (key, args) => this.t(key, args),
    open: (threadId, itemId) => this.#go(threadId, itemId),
  };

  readonly t = (key: string, args?: Record<string, string | number>): string => format(this.#table, key, args);

  override connectedCallback(): void {
    super.connectedCallback();
    this.#tabs.open();
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
    if (open === this.isOpen) return;
    this.isOpen = open;
    this.classList.toggle("open", open);
    if (open) this.#opener = activeElement();
    // What lies under the open panel is out of reach, for the keyboard too.
    (this.chat as HTMLElement).inert = open;
    if (open) void this.updateComplete.then(() => this.renderRoot.querySelector<HTMLElement>(".new")?.focus());
    else this.#opener?.focus();
  }

  protected override createRenderRoot(): HTMLElement | DocumentFragment {
    const root = super.createRenderRoot() as ShadowRoot;
    root.adoptedStyleSheets = [this.#sheet, ...root.adoptedStyleSheets];
    this.applyTheme();
    return root;
  }

  protected override render(): TemplateResult {
    return html`<div class="shade" @click=${() => this.toggle(false)}></div>
    <nav class="panel" aria-label=${this.t("history.title")} @keydown=${(event: KeyboardEvent) => event.key === "Escape" && this.toggle(false)}>
      <div class="top"><span class="brand">${page.title}</span></div>
      <button type="button" class="new" @click=${() => this.#go(null)}>${icon("compose")}${this.t("header.newThread")}</button>
      ${searchField(this.search, this.t)}
      <div class="list">
        ${this.search.isActive ? html`<ck-found .host=${this.#searchHost} .search=${this.search} .found=${this.search.found} .current=${this.current} .flags=${flagsOf(this.search)} .strings=${this.#table}></ck-found>` : this.#threads()}
      </div>
      <div class="visually-hidden" role="status">${this.announcement}</div>
    </nav>`;
  }

  #threads(): TemplateResult {
    const { list } = this;
    return html`${list.error ? html`<p class="empty">${this.t("history.failed")} ${textOfFailure({ ...failureOf(list.error), message: null }, { translate: this.t, locale })} ${signInLink(failureOf(list.error), page.signIn, this.t)} <button type="button" class="button small" @click=${() => list.load()}>${this.t("failure.retry")}</button></p>` : nothing}
        ${list.loaded && list.threads.length === 0 ? html`<p class="empty">${this.t("history.empty")}</p>` : nothing}
        <ck-threads .host=${this.#host} .list=${list} .threads=${list.threads} .current=${this.current} .strings=${this.#table}></ck-threads>
        ${list.hasMore ? html`<button type="button" class="button ghost more" ?disabled=${list.loading} @click=${() => list.loadMore()}>${this.t("history.more")}</button>` : nothing}`;
  }

  #go(threadId: string | null, itemId: string | null = null): void {
    this.toggle(false);
    const chat = this.chat as OpenAIChatKit & { showItem(id: string): Promise<boolean> };
    void chat.setThreadId(threadId).then(async () => {
      if (itemId === null || !(await chat.showItem(itemId))) await chat.focusComposer();
    });
  }
}
customElements.define("chatkit-sidebar", Sidebar);

/** The element that has the focus, in whatever shadow tree. */
function activeElement(): HTMLElement | null {
  let active = document.activeElement;
  while (active?.shadowRoot?.activeElement) active = active.shadowRoot.activeElement;
  return active instanceof HTMLElement ? active : null;
}

async function start(): Promise<void> {
  await customElements.whenDefined("openai-chatkit");
  const chat = document.querySelector<OpenAIChatKit>("openai-chatkit");
  if (!chat) return;
  const bar = document.createElement("chatkit-sidebar") as Sidebar;
  bar.chat = chat;

  document.documentElement.lang = locale;
  document.documentElement.dir = isRightToLeft(locale) ? "rtl" : "ltr";
  document.title = page.title;
  const heading = document.querySelector("h1");
  if (heading) heading.textContent = page.title;
  (chat.closest("main") ?? chat).before(bar);

  const configure = (): void => {
    document.documentElement.dataset["theme"] = scheme();
    bar.applyTheme();
    chat.setOptions({
      api: { url: page.url, domainKey: "local", uploadStrategy: page.upload ? { type: "direct", uploadUrl: page.upload } : { type: "two_phase" }, ...(page.signIn ? { signInUrl: page.signIn } : {}) } as never,
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
  narrow.addEventListener("change", () => {
    bar.toggle(false);
    configure();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void bar.list.load();
  });
  configure();
  await chat.focusComposer();
}

/** The one tool that this page has, for the built-in guide. */
function runTool(name: string): Record<string, unknown> {
  if (name !== "get_local_time") throw new Error(`This page has no tool ${name}.`);
  return { time: new Date().toISOString(), time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone };
}

void start();
