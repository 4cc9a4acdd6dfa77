/** `<ck-workflow>`: what a model thought and did before it answered. */

import { css, html, nothing, type PropertyValues, type TemplateResult } from "lit";

import type { ContentHost } from "../contracts";
import "./icon";
import { defaultHost } from "./strings";
import "./task";
import { base, token } from "./tokens";
import { type Workflow, workflowTitle } from "./tasks";
import { StyledElement } from "./styledElement";

/** Shows a workflow: one line that opens into its tasks. */
export class CkWorkflow extends StyledElement {
  static override properties = {
    workflow: { attribute: false },
    active: { type: Boolean, reflect: true },
    open: { state: true },
    host: { attribute: false },
  };
  static override styles = [
    base,
    css`
      :host {
        font-size: ${token.fontSize};
      }
      .toggle {
        display: inline-flex;
        align-items: center;
        gap: calc(${token.space} * 2);
        max-inline-size: 100%;
        padding: ${token.space} calc(${token.space} * 2);
        margin-inline-start: calc(${token.space} * -2);
        border: 0;
        border-radius: ${token.radiusControl};
        background: none;
        color: ${token.muted};
        font-size: 0.9375em;
        text-align: start;
        cursor: pointer;
      }
      .toggle:hover {
        background: ${token.sunken};
        color: ${token.text};
      }
      .toggle[disabled] {
        background: none;
        cursor: default;
      }
      .label {
        overflow: hidden;
        text-overflow: ellipsis;
        white-space: nowrap;
      }
      .active .label {
        background: linear-gradient(100deg, ${token.muted} 35%, ${token.text} 50%, ${token.muted} 65%) 100% 0 / 250% 100%;
        background-clip: text;
        color: transparent;
        animation: shimmer 2s linear infinite;
      }
      :host(:dir(rtl)) .active .label {
        animation-direction: reverse;
      }
      @keyframes shimmer {
        to {
          background-position: -50% 0;
        }
      }
      @media (prefers-reduced-motion: reduce) {
        .active .label {
          background: none;
          color: ${token.muted};
        }
      }
      @media (forced-colors: active) {
        .active .label {
          background: none;
          color: CanvasText;
        }
      }
      .chevron {
        flex: none;
        transition: transform 0.15s;
      }
      [aria-expanded="true"] .chevron {
        transform: rotate(180deg);
      }
      .tasks {
        margin-block-start: calc(${token.space} * 2);
      }
    `,
  ];

  declare workflow: Workflow;
  /** More may follow: the last task is under way. */
  declare active: boolean;
  declare open: boolean | null;
  declare host: ContentHost | null;

  constructor() {
    super();
    this.workflow = { type: "custom", tasks: [] };
    this.active = false;
    this.open = null;
    this.host = null;
  }

  /** What the user chose, else what the workflow says; a custom one shows its steps while it runs. */
  get #expanded(): boolean {
    return this.open ?? (this.workflow.expanded === true || (this.active && this.workflow.type === "custom"));
  }

  protected override updated(_changed: PropertyValues<this>): void {
    this.dispatchEvent(new CustomEvent("ck-rendered", { bubbles: true, composed: true }));
  }

  protected override render(): TemplateResult {
    const { workflow, active } = this;
    const host = this.host ?? defaultHost;
    const tasks = Array.isArray(workflow.tasks) ? workflow.tasks : [];
    const { summary } = workflow;
    const icon = (summary && "icon" in summary && summary.icon) || (workflow.type === "reasoning" ? "lightbulb" : "sparkle");
    const expanded = this.#expanded && tasks.length > 0;
    return html`<button
        type="button"
        class="toggle ${active ? "active" : ""}"
        part="workflow-toggle"
        aria-expanded=${tasks.length > 0 ? expanded : nothing}
        aria-controls="tasks"
        ?disabled=${tasks.length === 0}
        @click=${() => {
          this.open = !expanded;
        }}
      >
        <ck-icon .name=${icon} .host=${host}></ck-icon>
        <span class="label" dir="auto">${workflowTitle({ ...workflow, tasks }, active, host)}</span>
        ${tasks.length > 0 ? html`<ck-icon class="chevron" name="chevron-down"></ck-icon>` : nothing}
      </button>
      <div class="tasks" id="tasks" part="workflow-tasks" ?hidden=${!expanded}>
        ${expanded
          ? tasks.map(
              (task, place) =>
                html`<ck-task .task=${task} .active=${active && place === tasks.length - 1} .joined=${place < tasks.length - 1} .host=${host}></ck-task>`,
            )
          : nothing}
      </div>`;
  }
}

if (!customElements.get("ck-workflow")) customElements.define("ck-workflow", CkWorkflow);

declare global {
  interface HTMLElementTagNameMap {
    "ck-workflow": CkWorkflow;
  }
}
