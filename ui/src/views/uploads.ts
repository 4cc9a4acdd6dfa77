/** Files that are attached to the message being written: progress, errors, taking them away. */

import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import type { Composer } from "../controllers/composer";
import type { DraftAttachment } from "../controllers/drafts";
import type { App } from "../controllers/app";
import { icon } from "../icons/icons";

export function uploadList(app: App, composer: Composer): TemplateResult | typeof nothing {
  const { attachments } = composer.draft;
  if (attachments.length === 0) return nothing;
  return html`<ul class="uploads">${repeat(attachments, (entry) => entry.key, (entry) => upload(app, composer, entry))}</ul>`;
}

function upload(app: App, composer: Composer, entry: DraftAttachment): TemplateResult {
  const t = app.translate;
  const isUploading = entry.state === "uploading";
  const label = t(isUploading ? "attachment.cancel" : "attachment.remove", { name: entry.name });
  const status = entry.error ?? (isUploading ? t("attachment.uploading", { name: entry.name }) : entry.size === null ? "" : app.formatBytes(entry.size));
  const shown = isUploading && entry.progress !== null ? new Intl.NumberFormat(app.locale, { style: "percent" }).format(entry.progress) : status;
  return html`<li class="upload ${entry.state}" part="attachment" title=${entry.error ?? entry.name}>
    ${entry.preview ? html`<img class="upload-image" src=${entry.preview} alt="" />` : html`<span class="upload-icon">${icon("file-text")}</span>`}
    <span class="upload-text"><span class="file-name" dir="auto">${entry.name}</span><span class="upload-status" dir="auto">${shown}</span></span>
    ${isUploading ? html`<progress class="upload-bar" aria-label=${status} max="1" .value=${entry.progress ?? 0} ?data-unknown=${entry.progress === null}></progress>` : nothing}
    ${entry.state === "failed" ? html`<button type="button" class="icon-button small" aria-label=${t("attachment.retry", { name: entry.name })} title=${t("attachment.retry", { name: entry.name })} @click=${() => composer.retryUpload(entry.key)}>${icon("reload")}</button>` : nothing}
    <button type="button" class="icon-button small" aria-label=${label} title=${label} @click=${() => composer.removeAttachment(entry.key)}>${icon("close")}</button>
  </li>`;
}
