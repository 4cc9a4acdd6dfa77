/** `<ck-generated-image>`: an image while it comes into being, and when it is there. */

import { css, html, nothing, type PropertyValues, type TemplateResult } from "lit";

import type { ContentHost } from "../contracts";
import { styled } from "./styled";
import "./icon";
import { defaultHost } from "./strings";
import { base, token } from "./tokens";
import { readImage } from "./urls";
import { StyledElement } from "./styledElement";

/** Shows a generated image: a placeholder, then ever sharper stages, then the image with a link to it. */
export class CkGeneratedImage extends StyledElement {
  static override properties = {
    image: { attribute: false },
    progress: { attribute: false },
    active: { type: Boolean, reflect: true },
    host: { attribute: false },
    failed: { state: true },
  };
  static override styles = [
    base,
    css`
      :host {
        max-inline-size: min(100%, 26rem);
        font-size: ${token.fontSize};
      }
      figure {
        position: relative;
        margin: 0;
        overflow: hidden;
        border-radius: ${token.radius};
        background: ${token.sunken};
      }
      .empty {
        aspect-ratio: 1;
        background:
          radial-gradient(circle at 30% 20%, color-mix(in srgb, ${token.accent} 22%, transparent), transparent 55%),
          radial-gradient(circle at 75% 80%, color-mix(in srgb, ${token.discovery} 20%, transparent), transparent 55%);
        background-size: 160% 160%;
        animation: drift 5s ease-in-out infinite alternate;
      }
      @keyframes drift {
        to {
          background-position: 100% 100%;
        }
      }
      img {
        display: block;
        inline-size: 100%;
        block-size: auto;
        transition: filter 0.5s ease-out;
      }
      a {
        display: block;
      }
      a:focus-visible {
        outline-offset: -4px;
      }
      .bar {
        position: absolute;
        inset-inline: 0;
        inset-block-end: 0;
        display: flex;
        align-items: center;
        gap: calc(${token.space} * 2);
        padding: calc(${token.space} * 3) calc(${token.space} * 4);
        background: linear-gradient(transparent, rgb(0 0 0 / 72%));
        color: #fff;
        font-size: 0.8125em;
        text-shadow: 0 1px 2px rgb(0 0 0 / 60%);
      }
      .track {
        flex: 1;
        block-size: 4px;
        overflow: hidden;
        border-radius: 2px;
        background: rgb(255 255 255 / 35%);
      }
      .fill {
        block-size: 100%;
        border-radius: inherit;
        background: #fff;
        transition: inline-size 0.3s;
      }
      .failed {
        display: flex;
        align-items: center;
        gap: calc(${token.space} * 2);
        padding: calc(${token.space} * 5);
        color: ${token.muted};
        font-size: 0.9em;
      }
    `,
  ];

  declare image: { id: string; url: string } | null;
  /** Share that is done, from 0 to 1; null where it is unknown. */
  declare progress: number | null;
  /** The image still comes into being. */
  declare active: boolean;
  declare host: ContentHost | null;
  declare failed: boolean;

  constructor() {
    super();
    this.image = null;
    this.progress = null;
    this.active = false;
    this.host = null;
    this.failed = false;
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    if (changed.has("image")) this.failed = false;
  }

  get #source(): string | null {
    const url = this.image?.url ?? "";
    // The server itself sends finished images inline; SVG is left out, for it may hold script.
    if (/^data:image\/(?:png|jpeg|webp|gif|avif);base64,[\w+/=]+$/.test(url)) return url;
    const { allowedImageDomains, origins } = this.host ?? defaultHost;
    return readImage(url, allowedImageDomains, undefined, origins);
  }

  #bar(): TemplateResult | typeof nothing {
    if (!this.active) return nothing;
    const { translate } = this.host ?? defaultHost;
    const percent = this.progress === null ? null : Math.round(Math.min(1, Math.max(0, this.progress)) * 100);
    const label = percent === null ? translate("generated.creating") : translate("generated.progress", { percent });
    return html`<figcaption class="bar">
      <span>${translate("generated.creating")}</span>
      ${percent === null
        ? nothing
        : html`<div class="track" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${percent} aria-label=${label}>
            <div class="fill" style=${styled({ width: `${percent}%` })}></div>
          </div>`}
    </figcaption>`;
  }

  protected override render(): TemplateResult {
    const { translate, onLog } = this.host ?? defaultHost;
    const source = this.#source;
    if (this.image && (source === null || this.failed)) {
      if (source === null) onLog("image.refused", { url: this.image.url.slice(0, 200) });
      return html`<figure><div class="failed"><ck-icon name="image"></ck-icon>${translate("generated.failed")}</div></figure>`;
    }
    if (source === null) return html`<figure aria-busy="true"><div class="empty"></div>${this.#bar()}</figure>`;
    const sharp = this.active ? `blur(${Math.round(14 * (1 - (this.progress ?? 0.5)))}px)` : "none";
    // Larger than its frame while it is blurred, or its edges would fade.
    const picture = html`<img
      src=${source}
      alt=${translate("generated.alt")}
      decoding="async"
      referrerpolicy="no-referrer"
      style=${styled({ filter: sharp, scale: this.active ? "1.08" : "none" })}
      @error=${() => {
        this.failed = true;
      }}
      @load=${() => this.dispatchEvent(new CustomEvent("ck-rendered", { bubbles: true, composed: true }))}
    />`;
    const linked = !this.active && source.startsWith("https:");
    return html`<figure aria-busy=${this.active ? "true" : nothing}>
      ${linked ? html`<a href=${source} target="_blank" rel="noopener noreferrer nofollow" aria-label=${translate("image.open")}>${picture}</a>` : picture}
      ${this.#bar()}
    </figure>`;
  }
}

if (!customElements.get("ck-generated-image")) customElements.define("ck-generated-image", CkGeneratedImage);

declare global {
  interface HTMLElementTagNameMap {
    "ck-generated-image": CkGeneratedImage;
  }
}
