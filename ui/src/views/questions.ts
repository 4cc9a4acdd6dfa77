/** Questions that the assistant asks: a form while they wait, the answers afterwards. */

import { html, nothing, type TemplateResult } from "lit";
import { property, state } from "lit/decorators.js";
import { icon } from "../icons/icons";
import type { StructuredAnswer, StructuredInputItem, StructuredQuestion, StructuredSubmission } from "../protocol/wire";
import { define, ShellView } from "./base";

export class QuestionsView extends ShellView {
  @property({ attribute: false }) item!: StructuredInputItem;
  @property({ attribute: false }) isDisabled = false;
  @state() private sending = false;

  protected override render(): TemplateResult {
    return this.item.status === "pending" ? this.#form() : this.#answers();
  }

  #form(): TemplateResult {
    const off = this.isDisabled || this.sending;
    return html`<form class="questions" part="questions" @submit=${this.#submit}>
      ${this.item.inputs.map((question) => this.#question(question, off))}
      <div class="row end">
        <button type="button" class="button ghost" ?disabled=${off} @click=${() => this.#send("skipped")}>${this.t("input.skip")}</button>
        <button type="submit" class="button primary" ?disabled=${off}>${this.t("input.submit")}</button>
      </div>
    </form>`;
  }

  #question(question: StructuredQuestion, off: boolean): TemplateResult {
    const hint = question.description ?? (question.multiple ? this.t("input.several") : null);
    if (question.type === "freeform") {
      return html`<label class="question"><span class="question-text" dir="auto">${question.question}</span>
        ${hint ? html`<span class="hint" dir="auto">${hint}</span>` : nothing}
        <textarea name=${question.id} rows="2" dir="auto" ?disabled=${off} aria-label=${question.question} placeholder=${this.t("input.freeform")}></textarea></label>`;
    }
    return html`<fieldset class="question" ?disabled=${off}>
      <legend class="question-text" dir="auto">${question.question}</legend>
      ${hint ? html`<span class="hint" dir="auto">${hint}</span>` : nothing}
      <div class="choices">${(question.options ?? []).map(
        (option) => html`<label class="choice"><input type=${question.multiple ? "checkbox" : "radio"} name=${question.id} value=${option.value} />
          <span dir="auto">${option.value}</span></label>`,
      )}</div>
    </fieldset>`;
  }

  #answers(): TemplateResult {
    return html`<dl class="questions answered" part="questions">
      ${this.item.inputs.map((question) => {
        const values = question.answer?.values ?? [];
        const isSkipped = this.item.status === "skipped" || question.answer?.skipped || values.length === 0;
        return html`<div><dt dir="auto">${question.question}</dt>
          <dd dir="auto" class=${isSkipped ? "faint" : ""}>${isSkipped ? this.t("input.skipped") : html`${icon("check")} ${values.join(", ")}`}</dd></div>`;
      })}
    </dl>`;
  }

  readonly #submit = (event: SubmitEvent): void => {
    event.preventDefault();
    void this.#send("answered");
  };

  async #send(status: "answered" | "skipped"): Promise<void> {
    const form = this.querySelector("form");
    if (!form || this.sending) return;
    const data = new FormData(form);
    const answers: Record<string, StructuredAnswer> = {};
    for (const question of this.item.inputs) {
      const values = status === "skipped" ? [] : data.getAll(question.id).map((value) => String(value).trim()).filter((value) => value !== "");
      answers[question.id] = { values, skipped: values.length === 0 };
    }
    const submission: StructuredSubmission = { status, answers };
    this.sending = true;
    try {
      await this.app.conversation.answer(this.item.id, submission);
    } finally {
      this.sending = false;
    }
  }
}

define("ck-questions", QuestionsView);
