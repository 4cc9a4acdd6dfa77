/** `<ck-sources>`: the numbered list of sources below an answer, folded at first. */

import { css, html, nothing, type TemplateResult } from "lit";

import type { ContentHost } from "../contracts";
import { type Citation, numberSources, type Source } from "./citations";
import "./icon";
import { sourceIcon, sourceOrigin } from "./preview";
import { defaultHost } from "./strings";
import { base, token } from "./tokens";
import { readLink } from "./urls";
import { StyledElement } from "./styledElement";

/** Shows sources, numbered as the chips of the text are. */
export class CkSources extends StyledElement {
  static override properties = {
    sources: { attribute: false },
    open: { type: Boolean, reflect: true },
    host: { attribute: false },
  };
  static override styles = [
    base,
    css`
      :host {
        margin-block-start: calc(${token.space} * 3);
        font-size: 0.875em;
      }
      summary {
        display: inline-flex;
        align-items: center;
        gap: calc(${token.space} * 1.5);
        padding: calc(${token.space} * 1) calc(${token.space} * 2.5);
        border: 1px solid ${token.border};
        border-radius: 999px;
        color: ${token.muted};
        cursor: pointer;
        list-style: none;
        user-select: none;
      }
      summary::-webkit-details-marker {
        display: none;
      }
      summary:hover {
        background: ${token.sunken};
        color: ${token.text};
      }
      summary .chevron {
        transition: transform 0.15s;
      }
      details[open] summary .chevron {
        transform: rotate(180deg);
      }
      ol {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, 15em), 1fr));
        gap: calc(${token.space} * 2);
        margin: calc(${token.space} * 2.5) 0 0;
        padding: 0;
        list-style: none;
      }
      li {
        display: flex;
        min-inline-size: 0;
      }
      .source {
        display: grid;
        grid-template-columns: auto minmax(0, 1fr);
        gap: 0 calc(${token.space} * 2);
        inline-size: 100%;
        padding: calc(${token.space} * 2.5) calc(${token.space} * 3);
        border: 1px solid ${token.border};
        border-radius: calc(${token.radius} * 0.75);
        background: none;
        color: inherit;
        text-align: start;
        text-decoration: none;
      }
      a.source:hover,
      button.source:hover {
        background: ${token.sunken};
      }
      button.source {
        cursor: pointer;
      }
      .number {
        grid-row: span 2;
        color: ${token.muted};
        font-variant-numeric: tabular-nums;
      }
      .title,
      .origin {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .title {
        font-weight: 500;
        text-align: match-parent;
        text-align: -webkit-match-parent;
      }
      .origin {
        display: flex;
        align-items: center;
        gap: ${token.space};
        color: ${token.muted};
        font-size: 0.9em;
      }
      .origin span {
        overflow: hidden;
        text-overflow: ellipsis;
      }
    `,
  ];

  declare sources: readonly Source[];
  declare open: boolean;
  declare host: ContentHost | null;

  constructor() {
    super();
    this.sources = [];
    this.open = false;
    this.host = null;
  }

  #source({ number, source }: Citation): TemplateResult {
    const host = this.host ?? defaultHost;
    const origin = sourceOrigin(source);
    const inside = html`<span class="number" aria-hidden="true">${number}</span>
      <span class="title" dir="auto">${source.title || origin}</span>
      <span class="origin"><ck-icon .name=${sourceIcon(source)} .host=${host}></ck-icon><span dir="auto">${origin}</span></span>`;
    const link = source.type === "url" ? readLink(source.url) : null;
    if (link?.kind === "external") {
      return html`<a class="source" part="source" href=${link.href} target="_blank" rel="noopener noreferrer nofollow">${inside}</a>`;
    }
    if (source.type === "entity" && source.interactive) {
      return html`<button type="button" class="source" part="source" @click=${() => host.entities?.onClick?.(source)}>${inside}</button>`;
    }
    return html`<div class="source" part="source">${inside}</div>`;
  }

  protected override render(): TemplateResult | typeof nothing {
    const listed = numberSources(this.sources ?? []);
    if (listed.length === 0) return nothing;
    const { translate } = this.host ?? defaultHost;
    const count = listed.length === 1 ? translate("sources.one") : translate("sources.count", { count: listed.length });
    return html`<details
      ?open=${this.open}
      @toggle=${(event: Event) => {
        this.open = (event.target as HTMLDetailsElement).open;
      }}
    >
      <summary part="sources-toggle">
        <ck-icon name="globe"></ck-icon>${count}<ck-icon class="chevron" name="chevron-down"></ck-icon>
      </summary>
      <ol>
        ${listed.map((one) => html`<li>${this.#source(one)}</li>`)}
      </ol>
    </details>`;
  }
}

if (!customElements.get("ck-sources")) customElements.define("ck-sources", CkSources);

declare global {
  interface HTMLElementTagNameMap {
    "ck-sources": CkSources;
  }
}
