/** Where the user writes: text with mentions, files, a quote, the choice of tool and model. */

import { html, nothing, type PropertyValues, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import type { Composer } from "../controllers/composer";
import { Dictation } from "../controllers/dictation";
import type { Draft } from "../controllers/drafts";
import { acceptAttribute } from "../controllers/files";
import { type Query, queryAt, segments, tokenOf } from "../controllers/mentions";
import { icon, namedIcon } from "../icons/icons";
import { asError } from "../protocol/errors";
import { define, ShellView } from "./base";
import "./menu";
import type { MenuEntry } from "./menu";
import { type Suggestion, Suggestions } from "./suggestions";
import { hasPreview, tagPreviews } from "./tagPreview";
import { uploadList } from "./uploads";

/** Whether fingers are what the device is used with: a phone or a tablet. */
function isTouched(): boolean {
  return globalThis.matchMedia?.("(pointer: coarse)").matches ?? false;
}

export class ComposerView extends ShellView {
  @property({ attribute: false }) composer!: Composer;
  @property({ attribute: false }) draft!: Draft;
  @property({ attribute: false }) isBusy = false;
  /** The thread is being loaded, and takes nothing yet. */
  @property({ attribute: false }) isOpening = false;
  @property({ attribute: false }) isStopping = false;
  @property({ attribute: false }) canStop = true;
  /** Why nothing can be sent; null where something can. */
  @property({ attribute: false }) lock: string | null = null;
  /** The chosen tool and model, and what the composer takes, in one text, so that a change is seen. */
  @property({ attribute: false }) choices = "";
  @property({ attribute: false }) settings: unknown;
  @property({ attribute: false }) strings: unknown;
  @state() private isDroppedOn = false;

  readonly #previews = tagPreviews(this, () => this.composer.draft.tags);
  #suggestions: Suggestions | null = null;
  #dictation: Dictation | null = null;
  #focusesLock = false;
  #listening: AbortController | null = null;

  focusInput(): void {
    this.#input()?.focus({ preventScroll: true });
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#suggestions = new Suggestions(
      this.app,
      () => this.requestUpdate(),
      () => this.#additions(),
    );
    this.#dictation = new Dictation(this.app, () => this.requestUpdate(), (text) => this.#insert(text));
    // Files may be dropped anywhere on the element.
    const { signal } = (this.#listening = new AbortController());
    const element = this.shadow.host as HTMLElement;
    element.addEventListener("dragenter", this.#dragOver, { signal });
    element.addEventListener("dragover", this.#dragOver, { signal });
    element.addEventListener("dragleave", this.#dragLeave, { signal });
    element.addEventListener("drop", this.#drop, { signal });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#suggestions?.close();
    this.#dictation?.cancel();
    this.#listening?.abort();
  }

  protected override willUpdate(changed: PropertyValues<this>): void {
    // The focus would be lost with the field.
    if (changed.has("lock") && this.lock !== null) this.#focusesLock = this.hasUpdated && this.shadow.activeElement === this.#input();
  }

  protected override updated(_changed: PropertyValues): void {
    if (this.#focusesLock) this.querySelector<HTMLElement>(".lock")?.focus();
    this.#focusesLock = false;
    const input = this.#input();
    // The draft as it is now: the property may be a frame behind what was typed. And only where it differs: setting it
    // anew would move the caret and end an input method's composition.
    const { text } = this.composer.draft;
    if (input && input.value !== text) input.value = text;
    this.#syncScroll();
  }

  protected override render(): TemplateResult {
    const { composer } = this;
    const { draft } = composer;
    const { placeholder } = this.app.options.composer ?? {};
    const prompt = composer.tool?.placeholderOverride ?? placeholder ?? this.t("composer.placeholder");
    const suggestions = this.#suggestions;
    return html`<form class="composer ${this.isDroppedOn ? "dropped-on" : ""} ${this.lock === null ? "" : "locked"} ${this.#isPlain ? "plain" : ""}" part="composer" @submit=${this.#submit}>
      ${composer.complaints.length > 0
        ? html`<div class="complaints" part="error" role="alert">${icon("alert")}<div>${composer.complaints.map((text) => html`<div dir="auto">${text}</div>`)}</div>
            <button type="button" class="icon-button small" aria-label=${this.t("failure.dismiss")} @click=${() => composer.dismissComplaints()}>${icon("close")}</button></div>`
        : nothing}
      ${draft.quote ? this.#quote(draft.quote) : nothing}
      ${uploadList(this.app, composer)}
      ${this.lock === null
        ? html`<div class="field">
            <div class="mirror" aria-hidden="true" dir="auto">${segments(draft.text, draft.tags).map((part) => (part.tag ? html`<mark>${part.text}</mark>` : part.text))}&#8203;</div>
            <textarea class="input" part="composer-input" rows="1" dir="auto" aria-label=${this.t("composer.label")} placeholder=${prompt} enterkeyhint=${isTouched() ? "enter" : "send"}
              autocomplete="off" aria-autocomplete="list" aria-controls=${suggestions?.isOpen ? "suggestions" : nothing}
              aria-activedescendant=${suggestions?.isOpen ? `suggestion-${suggestions.active}` : nothing}
              @input=${this.#typed} @keydown=${this.#keyed} @paste=${this.#pasted} @scroll=${() => this.#syncScroll()} @click=${() => this.#suggest()}
              @pointermove=${this.#hovered} @pointerleave=${() => this.#previews.withdraw()} @blur=${() => suggestions?.close()}></textarea>
            ${suggestions?.render((entry) => void this.#pick(entry)) ?? nothing}
          </div>`
        : html`<p class="lock" part="lock" role="status" tabindex="-1" dir="auto">${this.lock}</p>`}
      ${this.#toolbar()}
      ${this.isDroppedOn ? html`<div class="drop-hint">${icon("paperclip")}${this.t("composer.drop")}</div>` : nothing}
      ${this.#previews.render()}
    </form>`;
  }

  /** Whether there is nothing to choose, so that text and button fit into one row. */
  get #isPlain(): boolean {
    const { composer, entities } = this.app.options;
    const hasTools = (composer?.tools?.length ?? 0) > 0 || (composer?.models?.length ?? 0) > 1;
    const hasMore = this.composer.takesSpeech || (entities?.onTagSearch && entities.showComposerMenu);
    return !this.composer.takesFiles && !hasTools && !hasMore;
  }

  #toolbar(): TemplateResult | typeof nothing {
    if (this.lock !== null && !this.isBusy) return nothing;
    const { composer } = this;
    const tools = this.app.options.composer?.tools ?? [];
    const models = this.app.options.composer?.models ?? [];
    const { entities } = this.app.options;
    const { tool, model } = composer;
    const adds = this.#additions();
    const first = adds[0];
    return html`<div class="toolbar">
      ${first && adds.length > 1
        ? html`<ck-menu .label=${this.t("composer.add")} .entries=${adds} .trigger=${icon("plus")} .opensUp=${true}></ck-menu>`
        : first
          ? html`<button type="button" class="icon-button" aria-label=${first.label} title=${first.label} @click=${() => first.select()}>${composer.takesFiles ? icon("paperclip") : icon("plus")}</button>`
          : nothing}
      ${composer.takesFiles
        ? html`<input class="file-input" type="file" multiple tabindex="-1" aria-hidden="true" accept=${acceptAttribute(this.app.options.composer?.attachments?.accept)} @change=${this.#picked} />`
        : nothing}
      ${entities?.onTagSearch && entities.showComposerMenu
        ? html`<button type="button" class="icon-button" aria-label=${this.t("composer.mention")} title=${this.t("composer.mention")} @click=${() => this.#insert("@")}>${icon("at-sign")}</button>`
        : nothing}
      ${tools
        .filter((entry) => entry.pinned)
        .map((entry) => html`<button type="button" class="chip-button pinned" aria-label=${entry.label} title=${entry.label} aria-pressed=${entry.id === tool?.id} @click=${() => this.#toggleTool(entry.id)}>
          ${namedIcon(entry.icon)}<span>${entry.shortLabel ?? entry.label}</span></button>`)}
      ${tool && !tool.pinned
        ? html`<button type="button" class="chip-button" aria-pressed="true" aria-label=${this.t("composer.removeTool", { name: tool.label })} @click=${() => this.#toggleTool(tool.id)}>
            ${namedIcon(tool.icon)}<span>${tool.shortLabel ?? tool.label}</span>${icon("close")}</button>`
        : nothing}
      <span class="grow"></span>
      ${models.length > 1 && model
        ? html`<ck-menu class="models" .label=${`${this.t("composer.model")}: ${model.label}`} .buttonClass=${"chip-button quiet"} .opensUp=${true} .alignsEnd=${true}
            .trigger=${html`<span>${model.label}</span>${icon("chevron-down")}`}
            .entries=${models.map((entry): MenuEntry => ({ id: entry.id, label: entry.label, description: entry.description, disabled: entry.disabled, checked: entry.id === model.id, select: () => composer.selectModel(entry.id) }))}></ck-menu>`
        : nothing}
      ${composer.takesSpeech && Dictation.isPossible ? this.#microphone() : nothing} ${this.#button()}
    </div>`;
  }

  /** The round button: send, or stop while an answer comes. */
  #button(): TemplateResult {
    if (this.isBusy) {
      const label = this.t(this.isStopping ? "composer.stopping" : "composer.stop");
      return html`<button type="button" class="send stop" part="stop-button" aria-label=${label} title=${label} ?disabled=${this.isStopping || !this.canStop}
        @click=${() => this.app.conversation.stop()}>${icon("stop")}</button>`;
    }
    return html`<button type="submit" class="send" part="send-button" aria-label=${this.t("composer.send")} title=${this.t("composer.send")}
      ?disabled=${!this.composer.canSend || this.isOpening}>${icon("arrow-up")}</button>`;
  }

  #microphone(): TemplateResult {
    const phase = this.#dictation?.phase ?? "idle";
    const label = this.t(phase === "recording" ? "composer.dictating" : phase === "transcribing" ? "composer.transcribing" : "composer.dictate");
    return html`<button type="button" class="icon-button ${phase}" aria-label=${label} title=${label} aria-pressed=${phase === "recording"} ?disabled=${phase === "transcribing"}
      @click=${() => this.#dictation?.toggle()}>${icon("mic")}</button>`;
  }

  #additions(): MenuEntry[] {
    const entries: MenuEntry[] = [];
    if (this.composer.takesFiles) {
      entries.push({ id: "attach", label: this.t("composer.attach"), icon: icon("paperclip"), select: () => this.querySelector<HTMLInputElement>(".file-input")?.click() });
    }
    for (const tool of this.app.options.composer?.tools ?? []) {
      if (tool.pinned) continue;
      entries.push({
        id: `tool ${tool.id}`,
        label: tool.label,
        icon: namedIcon(tool.icon),
        checked: tool.id === this.composer.toolId,
        select: () => this.#toggleTool(tool.id),
      });
    }
    return entries;
  }

  #quote(text: string): TemplateResult {
    return html`<div class="quote" part="quote">${icon("quote")}<span dir="auto" aria-label=${this.t("quote.label")}>${text}</span>
      <button type="button" class="icon-button small" aria-label=${this.t("quote.remove")} @click=${() => this.composer.edit({ quote: null })}>${icon("close")}</button></div>`;
  }

  #toggleTool(id: string): void {
    this.composer.selectTool(this.composer.toolId === id ? null : id);
    this.focusInput();
  }

  readonly #submit = (event: Event): void => {
    event.preventDefault();
    void this.app.submit();
    this.focusInput();
  };

  readonly #typed = (): void => {
    const input = this.#input();
    if (!input) return;
    this.composer.edit({ text: input.value });
    this.#suggest();
  };

  readonly #keyed = (event: KeyboardEvent): void => {
    // While an input method composes, Enter accepts its suggestion; Safari tells it by the code alone.
    if (event.isComposing || event.keyCode === 229) return;
    const suggestions = this.#suggestions;
    if (suggestions?.isOpen) {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") suggestions.move(event.key === "ArrowDown" ? 1 : -1);
      else if (event.key === "Escape") suggestions.close();
      else if (event.key === "Enter" || event.key === "Tab") {
        const entry = suggestions.entries[suggestions.active];
        if (entry) void this.#pick(entry);
      } else return;
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    // A phone's keyboard has no other key for a new line; with a keyboard besides, Control or Command and Enter send.
    const sends = isTouched() ? event.ctrlKey || event.metaKey : !event.shiftKey && !event.ctrlKey && !event.metaKey;
    if (event.key === "Enter" && sends && !event.altKey) {
      event.preventDefault();
      if (!this.isBusy) void this.app.submit();
    } else if (event.key === "Escape" && this.isBusy && this.canStop) void this.app.conversation.stop();
  };

  /** The field lies over the tags, so that they hear of no pointer. */
  readonly #hovered = ({ clientX: x, clientY: y }: PointerEvent): void => {
    const isOver = (mark: HTMLElement): boolean =>
      [...mark.getClientRects()].some((place) => x >= place.left && x <= place.right && y >= place.top && y <= place.bottom);
    const marks = this.composer.draft.tags.some((tag) => hasPreview(this, tag)) ? [...this.querySelectorAll<HTMLElement>(".mirror mark")] : [];
    const mark = marks.find(isOver);
    const tag = mark && this.composer.draft.tags.findIndex((candidate) => tokenOf(candidate) === mark.textContent);
    if (mark && tag !== undefined && tag >= 0) this.#previews.offer(this.#previews.find(tag), mark);
    else this.#previews.withdraw();
  };

  readonly #pasted = (event: ClipboardEvent): void => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0 || !this.composer.takesFiles) return;
    event.preventDefault();
    this.composer.addFiles(files);
  };

  readonly #picked = (event: Event): void => {
    const input = event.target as HTMLInputElement;
    this.composer.addFiles([...(input.files ?? [])]);
    // The same file can be picked again.
    input.value = "";
    this.focusInput();
  };

  readonly #dragOver = (event: DragEvent): void => {
    if (!this.composer.takesFiles || this.lock !== null || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.isDroppedOn = true;
  };

  readonly #dragLeave = (event: DragEvent): void => {
    const to = event.relatedTarget as Node | null;
    const { host } = this.shadow;
    if (to !== host && !this.shadow.contains(to) && !host.contains(to)) this.isDroppedOn = false;
  };

  readonly #drop = (event: DragEvent): void => {
    if (!this.isDroppedOn) return;
    event.preventDefault();
    this.isDroppedOn = false;
    this.composer.addFiles([...(event.dataTransfer?.files ?? [])]);
    this.focusInput();
  };

  #suggest(): void {
    const input = this.#input();
    if (!input) return;
    const isCaret = input.selectionStart === input.selectionEnd;
    this.#suggestions?.update(isCaret ? queryAt(input.value, input.selectionStart, this.composer.draft.tags) : null);
  }

  async #pick(entry: Suggestion): Promise<void> {
    const query = this.#suggestions?.query;
    if (!query) return;
    if (entry.entity) {
      this.#place(this.composer.insertEntity(entry.entity, query.start, query.end));
      this.#suggestions?.close();
      return;
    }
    if (entry.run) {
      this.#removeQuery(query);
      entry.run();
      return;
    }
    if (!entry.command) return;
    let selection;
    try {
      selection = await this.app.options.commands?.onSelect?.(entry.command);
    } catch (error) {
      this.app.onError(asError(error));
    }
    if (selection?.type === "menu") {
      this.#suggestions?.show(selection.commands);
      return;
    }
    if (selection?.type === "entity") {
      this.#suggestions?.close();
      this.#place(this.composer.insertEntity(selection.entity, query.start, query.end));
    } else this.#removeQuery(query);
  }

  #removeQuery(query: Query): void {
    this.#suggestions?.close();
    const { text } = this.composer.draft;
    this.composer.edit({ text: text.slice(0, query.start) + text.slice(query.end) });
  }

  #insert(text: string): void {
    const input = this.#input();
    if (!input) return;
    const before = input.value.slice(0, input.selectionStart);
    const gap = before !== "" && !/\s$/.test(before) ? " " : "";
    const at = input.selectionStart + gap.length + text.length;
    this.composer.edit({ text: before + gap + text + input.value.slice(input.selectionEnd) });
    this.#place(at);
  }

  #place(caret: number): void {
    void this.updateComplete.then(() => {
      const input = this.#input();
      if (!input) return;
      input.value = this.composer.draft.text;
      input.focus();
      input.setSelectionRange(caret, caret);
      this.#suggest();
    });
  }

  #syncScroll(): void {
    const mirror = this.querySelector(".mirror");
    const input = this.#input();
    if (mirror && input) mirror.scrollTop = input.scrollTop;
  }

  #input(): HTMLTextAreaElement | null {
    return this.querySelector("textarea.input");
  }
}

define("ck-composer", ComposerView);
