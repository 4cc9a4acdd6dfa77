/** What the user said and what was answered. */

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import { repeat } from "lit/directives/repeat.js";
import { readPreview } from "../content/urls";
import type { ContentHost } from "../contracts";
import { icon } from "../icons/icons";
import type { Item, TagContent, UserMessageItem, WireAttachment } from "../protocol/wire";
import type { TurnGroup } from "../state/turns";
import { loadWidgets } from "../widgets/load";
import { define, ShellView } from "./base";
import "./questions";
import { entityOf, hasPreview, tagPreviews } from "./tagPreview";

export class TurnView extends ShellView {
  @property({ attribute: false }) group!: TurnGroup;
  @property({ attribute: false }) host!: ContentHost;
  /** Ids of items that are being streamed; null in turns that are over. */
  @property({ attribute: false }) pending: ReadonlySet<string> | null = null;
  @property({ attribute: false }) isBusy = false;
  @property({ attribute: false }) isLast = false;
  @property({ attribute: false }) isUnsent = false;
  /** Whether the thread takes messages, and so retries. */
  @property({ attribute: false }) isOpen = true;
  @property({ attribute: false }) feedback: "positive" | "negative" | undefined;
  @state() private copied = false;

  protected override willUpdate(_changed: PropertyValues): void {
    this.classList.toggle("last", this.isLast);
  }

  protected override render(): TemplateResult {
    const { user, answer } = this.group;
    const shown = answer.filter(isShown);
    return html`
      ${user ? this.#user(user) : nothing}
      ${shown.length > 0
        ? html`<article class="answer" part="assistant-message" aria-label=${this.t("thread.assistant")}>
            ${repeat(shown, (item) => item.id, (item) => this.#item(item))}
          </article>`
        : nothing}
      ${shown.length > 0 && !this.isBusy ? this.#actions(shown) : nothing} ${this.#previews.render()}
    `;
  }

  #user(item: UserMessageItem): TemplateResult {
    const attachments = item.attachments ?? [];
    return html`<article class="user ${this.isUnsent ? "unsent" : ""}" part="user-message" aria-label=${this.t("thread.you")}>
      ${item.quoted_text ? html`<blockquote class="quoted" dir="auto">${icon("quote")}<span>${item.quoted_text}</span></blockquote>` : nothing}
      ${attachments.length > 0 ? html`<div class="attachments">${attachments.map((entry) => this.#attachment(entry))}</div>` : nothing}
      ${item.content.length > 0
        ? html`<div class="bubble" dir="auto">${item.content.map((part) => (part.type === "input_tag" ? this.#tag(part) : part.text))}</div>`
        : nothing}
    </article>`;
  }

  readonly #previews = tagPreviews(this, () => this.#tags);

  get #tags(): readonly TagContent[] {
    return this.group?.user?.content.filter((part) => part.type === "input_tag") ?? [];
  }

  #tag(tag: TagContent): TemplateResult {
    const { onClick } = this.app.options.entities ?? {};
    const isPreviewed = hasPreview(this, tag);
    if (!tag.interactive || (!onClick && !isPreviewed)) return html`<span class="tag">${tag.text}</span>`;
    return html`<button type="button" class="tag" data-citation=${isPreviewed ? this.#tags.indexOf(tag) : nothing} @click=${() => onClick?.(entityOf(tag))}>${tag.text}</button>`;
  }

  #attachment(entry: WireAttachment): TemplateResult {
    const preview = entry.type === "image" ? readPreview(entry.preview_url ?? "") : null;
    if (preview !== null) {
      return html`<img class="thumbnail" src=${preview} alt=${entry.name} title=${entry.name} loading="lazy" decoding="async" />`;
    }
    return html`<span class="file-chip" title=${entry.name}>${icon("file-text")}<span class="file-name" dir="auto">${entry.name}</span></span>`;
  }

  #item(item: Item): TemplateResult | typeof nothing {
    const isPending = this.pending?.has(item.id) ?? false;
    switch (item.type) {
      case "assistant_message":
        return html`${item.content.map((part) => html`<ck-markdown part="markdown" exportparts=${MARKDOWN_PARTS} .text=${part.text} .streaming=${isPending} .annotations=${part.annotations ?? []} .host=${this.host}></ck-markdown>`)}`;
      case "widget":
        // Tried again when the next one is drawn.
        loadWidgets().catch(() => undefined);
        return html`<ck-widget part="widget" .widget=${item.widget} .itemId=${item.id} .active=${isPending} .host=${this.host}></ck-widget>`;
      case "generated_image":
        return html`<ck-generated-image part="generated-image" .image=${item.image ?? null} .progress=${item.progress ?? null} .active=${isPending} .host=${this.host}></ck-generated-image>`;
      case "workflow":
        return html`<ck-workflow part="workflow" exportparts="workflow-toggle, workflow-tasks" .workflow=${item.workflow} .active=${isPending} .host=${this.host}></ck-workflow>`;
      case "task":
        return html`<ck-task part="task" .task=${item.task} .active=${isPending} .host=${this.host}></ck-task>`;
      case "structured_input":
        return html`<ck-questions .app=${this.app} .item=${item} .isDisabled=${this.isBusy}></ck-questions>`;
      default:
        return nothing;
    }
  }

  #actions(shown: readonly Item[]): TemplateResult | typeof nothing {
    const option = this.app.options.threadItemActions;
    const text = copyText(shown);
    const user = this.group.user;
    const canRetry = option?.retry && user && !this.isUnsent && this.isOpen && this.app.conversation.id !== null;
    if (!text && !option?.feedback && !canRetry) return nothing;
    return html`<div class="actions" part="actions" role="group">
      ${text
        ? html`<button type="button" class="icon-button small" aria-label=${this.t(this.copied ? "action.copied" : "action.copy")}
            title=${this.t(this.copied ? "action.copied" : "action.copy")} @click=${() => this.#copy(text)}>${icon(this.copied ? "check" : "copy")}</button>
          <button type="button" class="icon-button small" aria-label=${this.t("quote.action")} title=${this.t("quote.action")}
            @click=${() => this.dispatchEvent(new CustomEvent("ck-quote", { bubbles: true, detail: text }))}>${icon("quote")}</button>`
        : nothing}
      ${option?.feedback ? html`${this.#thumb("positive")}${this.#thumb("negative")}` : nothing}
      ${canRetry
        ? html`<button type="button" class="icon-button small" aria-label=${this.t("action.retry")} title=${this.t("action.retry")}
            @click=${() => this.app.conversation.retry(user.id)}>${icon("reload")}</button>`
        : nothing}
    </div>`;
  }

  #thumb(kind: "positive" | "negative"): TemplateResult {
    const label = this.t(kind === "positive" ? "action.good" : "action.bad");
    return html`<button type="button" class="icon-button small" aria-label=${label} title=${label} aria-pressed=${this.feedback === kind}
      @click=${() => this.#giveFeedback(kind)}>${icon(kind === "positive" ? "thumbs-up" : "thumbs-down")}</button>`;
  }

  #giveFeedback(kind: "positive" | "negative"): void {
    const ids = this.group.answer.filter((item) => item.type !== "end_of_turn").map((item) => item.id);
    this.app.conversation.giveFeedback(ids, kind).then(
      () => this.app.announce(this.t("action.feedbackThanks")),
      () => this.app.announce(this.t("failure.generic")),
    );
  }

  async #copy(text: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) {
      this.app.onLog("copy.failed", { message: String(error) });
      return;
    }
    this.copied = true;
    this.app.announce(this.t("action.copied"));
    setTimeout(() => {
      this.copied = false;
    }, 2000);
  }
}

/** Parts of views inside views have to be passed on, to be styled by the page. */
const MARKDOWN_PARTS = "code, code-bar, code-copy, table, link, alert, footnotes, note-reference, image-button, citation, sources, sources-toggle, source, preview";

function isShown(item: Item): boolean {
  if (item.type === "assistant_message") return item.content.some((part) => part.text !== "" || (part.annotations?.length ?? 0) > 0);
  return ["widget", "generated_image", "workflow", "task", "structured_input"].includes(item.type);
}

function copyText(items: readonly Item[]): string {
  return items
    .map((item) => {
      if (item.type === "assistant_message") return item.content.map((part) => part.text).join("\n\n");
      return item.type === "widget" ? (item.copy_text ?? "") : "";
    })
    .filter((text) => text.trim() !== "")
    .join("\n\n");
}

/** The key under which feedback to a turn is kept. */
export function feedbackKey(group: TurnGroup): string | undefined {
  return group.answer.filter((item) => item.type !== "end_of_turn").at(-1)?.id;
}

define("ck-turn", TurnView);
