/** What is shown before the first message. */

import { html, nothing, type TemplateResult } from "lit";
import type { App } from "../controllers/app";
import { namedIcon } from "../icons/icons";
import type { UserContent } from "../protocol/wire";

export function startScreen(app: App): TemplateResult {
  const { greeting, prompts = [] } = app.options.startScreen ?? {};
  return html`<section class="start-screen" part="start-screen">
    <h2 class="greeting" part="greeting" dir="auto">${greeting ?? app.translate("start.greeting")}</h2>
    ${prompts.length > 0
      ? html`<ul class="prompts">${prompts.map(
          (prompt) => html`<li><button type="button" class="prompt" part="prompt" @click=${() => send(app, prompt.prompt)}>
            ${prompt.icon ? namedIcon(prompt.icon) : nothing}<span dir="auto">${prompt.label}</span></button></li>`,
        )}</ul>`
      : nothing}
  </section>`;
}

function send(app: App, prompt: string | readonly { type: string }[]): void {
  const content = typeof prompt === "string" ? [{ type: "input_text", text: prompt } as const] : (prompt as UserContent[]).map((part) => (part.type === "input_tag" ? { ...part, data: part.data ?? {} } : part));
  void app.conversation.send({ content, attachments: [], quotedText: null, inference: app.composer.inference });
}
