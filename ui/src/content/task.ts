/** `<ck-task>`: one step of a workflow, or a task that stands alone. */

import { css, html, nothing, type TemplateResult } from "lit";

import type { ContentHost } from "../contracts";
import type { FileSource, UrlSource } from "./citations";
import "./icon";
import "./markdown";
import { defaultHost } from "./strings";
import { type Task, taskIcon, taskTitle } from "./tasks";
import { base, token } from "./tokens";
import { hostOf, readLink } from "./urls";
import { StyledElement } from "./styledElement";

/** Shows a task: icon or progress, title, content, queries and sources. */
export class CkTask extends StyledElement {
  static override properties = {
    task: { attribute: false },
    active: { type: Boolean, reflect: true },
    joined: { type: Boolean, reflect: true },
    host: { attribute: false },
  };
  static override styles = [
    base,
    css`
      :host {
        font-size: 0.9375em;
        line-height: 1.5;
      }
      .task {
        display: grid;
        grid-template-columns: 1.25em minmax(0, 1fr);
        gap: 0 calc(${token.space} * 2.5);
      }
      .rail {
        display: flex;
        flex-direction: column;
        align-items: center;
        color: ${token.muted};
      }
      .mark {
        display: flex;
        align-items: center;
        block-size: 1.5em;
      }
      :host([joined]) .rail::after {
        content: "";
        flex: 1;
        inline-size: 1px;
        min-block-size: 0.5em;
        background: ${token.border};
      }
      .body {
        padding-block-end: calc(${token.space} * 3);
        min-inline-size: 0;
      }
      .title {
        overflow-wrap: anywhere;
        text-align: match-parent;
        text-align: -webkit-match-parent;
      }
      .loading .title {
        color: ${token.muted};
        animation: breathe 1.4s ease-in-out infinite alternate;
      }
      @keyframes breathe {
        to {
          opacity: 0.55;
        }
      }
      ck-markdown {
        color: ${token.muted};
        --ck-font-size: 1em;
        --ck-color-text: ${token.muted};
      }
      .spinner {
        inline-size: 0.9em;
        block-size: 0.9em;
        border: 2px solid ${token.border};
        border-block-start-color: ${token.muted};
        border-radius: 50%;
        animation: spin 0.9s linear infinite;
      }
      @keyframes spin {
        to {
          transform: rotate(1turn);
        }
      }
      .complete {
        color: ${token.success};
      }
      ul {
        display: flex;
        flex-wrap: wrap;
        gap: calc(${token.space} * 1.5);
        margin: calc(${token.space} * 1.5) 0 0;
        padding: 0;
        list-style: none;
      }
      li {
        max-inline-size: 100%;
      }
      .chip {
        display: inline-flex;
        align-items: center;
        gap: ${token.space};
        max-inline-size: 18em;
        padding: 0.15em 0.65em;
        border: 1px solid ${token.border};
        border-radius: 999px;
        color: ${token.muted};
        font-size: 0.8667em;
        text-decoration: none;
      }
      .chip > span {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      a.chip:hover {
        background: ${token.sunken};
        color: ${token.text};
      }
    `,
  ];

  declare task: Task;
  /** The workflow runs and this is its last step. */
  declare active: boolean;
  /** A line leads to the next task. */
  declare joined: boolean;
  declare host: ContentHost | null;

  constructor() {
    super();
    this.task = { type: "custom" };
    this.active = false;
    this.joined = false;
    this.host = null;
  }

  get #loading(): boolean {
    const status = this.task.status_indicator ?? "none";
    return status === "loading" || (this.active && status === "none");
  }

  #chip(source: UrlSource | FileSource): TemplateResult {
    if (source.type === "file") {
      return html`<li><span class="chip"><ck-icon name="document"></ck-icon><span dir="auto">${source.title || source.filename}</span></span></li>`;
    }
    const link = readLink(source.url);
    const label = source.attribution || hostOf(source.url);
    const inside = html`<ck-icon name="globe"></ck-icon><span dir="auto">${label}</span>`;
    return link.kind === "external"
      ? html`<li><a class="chip" href=${link.href} title=${source.title} target="_blank" rel="noopener noreferrer nofollow">${inside}</a></li>`
      : html`<li><span class="chip">${inside}</span></li>`;
  }

  #details(): TemplateResult | typeof nothing {
    const { task } = this;
    const host = this.host ?? defaultHost;
    if (task.type === "thought" || task.type === "custom") {
      return task.content ? html`<ck-markdown .text=${task.content} .streaming=${this.#loading} .host=${host}></ck-markdown>` : nothing;
    }
    if (task.type === "image") return nothing;
    const queries = task.type === "web_search" ? (task.queries ?? []) : [];
    const sources = task.sources ?? [];
    return html`${queries.length > 0
      ? html`<ul>
          ${queries.map((query) => html`<li><span class="chip"><ck-icon name="search"></ck-icon><span dir="auto">${query}</span></span></li>`)}
        </ul>`
      : nothing}${sources.length > 0
      ? html`<ul aria-label=${host.translate("sources.title")}>
          ${sources.map((source) => this.#chip(source))}
        </ul>`
      : nothing}`;
  }

  #mark(loading: boolean): TemplateResult {
    const { translate } = this.host ?? defaultHost;
    if (loading) return html`<span class="spinner" role="img" aria-label=${translate("task.loading")}></span>`;
    if (this.task.status_indicator === "complete" && (this.task.type !== "custom" || !this.task.icon)) {
      return html`<ck-icon class="complete" name="check-circle"></ck-icon><span class="visually-hidden">${translate("task.complete")}</span>`;
    }
    return html`<ck-icon .name=${taskIcon(this.task)} .host=${this.host}></ck-icon>`;
  }

  protected override render(): TemplateResult {
    const loading = this.#loading;
    const title = taskTitle(this.task, loading, this.host ?? defaultHost);
    return html`<div class="task ${loading ? "loading" : ""}">
      <div class="rail"><span class="mark">${this.#mark(loading)}</span></div>
      <div class="body">${title ? html`<div class="title" dir="auto">${title}</div>` : nothing}${this.#details()}</div>
    </div>`;
  }
}

if (!customElements.get("ck-task")) customElements.define("ck-task", CkTask);

declare global {
  interface HTMLElementTagNameMap {
    "ck-task": CkTask;
  }
}
