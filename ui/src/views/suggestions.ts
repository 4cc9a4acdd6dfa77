/** What is suggested while an @-mention or a /-command is written. */

import type { Command, Entity } from "@openai/chatkit";
import { html, nothing, type TemplateResult } from "lit";
import { repeat } from "lit/directives/repeat.js";
import type { App } from "../controllers/app";
import { namedIcon } from "../icons/icons";
import type { Query } from "../controllers/mentions";
import { asError } from "../protocol/errors";
import type { MenuEntry } from "./menu";

export interface Suggestion {
  id: string;
  label: string;
  description: string | null;
  icon: TemplateResult | typeof nothing;
  group: string | null;
  entity: Entity | null;
  command: Command | null;
  /** Given for what the composer does itself. */
  run: (() => void) | null;
}

/** Asks the page for suggestions; answers that come too late are dropped. */
export class Suggestions {
  query: Query | null = null;
  entries: readonly Suggestion[] = [];
  active = 0;

  #asked = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly app: App,
    private readonly onChange: () => void,
    /** What the composer offers of its own. */
    private readonly ownEntries: () => MenuEntry[],
  ) {}

  get isOpen(): boolean {
    return this.query !== null && this.entries.length > 0;
  }

  update(query: Query | null): void {
    if (query?.start === this.query?.start && query?.text === this.query?.text && query?.sign === this.query?.sign) return;
    clearTimeout(this.#timer);
    this.#asked += 1;
    const { onTagSearch } = this.app.options.entities ?? {};
    const { commands } = this.app.options;
    const isServed = query && (query.sign === "@" ? onTagSearch !== undefined : (commands?.enabled ?? false));
    if (!query || !isServed) {
      this.close();
      return;
    }
    this.query = query;
    const asked = this.#asked;
    this.#timer = setTimeout(() => void this.#search(query, asked), query.text === "" ? 0 : 120);
  }

  show(commands: readonly Command[]): void {
    this.entries = commands.map(ofCommand);
    this.active = 0;
    this.onChange();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#asked += 1;
    if (this.query === null && this.entries.length === 0) return;
    this.query = null;
    this.entries = [];
    this.onChange();
  }

  move(step: number): void {
    this.active = (this.active + step + this.entries.length) % this.entries.length;
    this.onChange();
  }

  async #search(query: Query, asked: number): Promise<void> {
    let found: Suggestion[] = [];
    try {
      if (query.sign === "@") found = ((await this.app.options.entities?.onTagSearch?.(query.text)) ?? []).map(ofEntity);
      else {
        const wanted = query.text.toLocaleLowerCase(this.app.locale);
        found = this.ownEntries().filter((entry) => entry.label.toLocaleLowerCase(this.app.locale).includes(wanted)).map(ofEntry);
        found.push(...((await this.app.options.commands?.onSearch?.(query.text)) ?? []).map(ofCommand));
      }
    } catch (error) {
      this.app.onError(asError(error));
    }
    if (asked !== this.#asked) return;
    this.entries = found.slice(0, 50);
    this.active = 0;
    this.onChange();
  }

  render(pick: (suggestion: Suggestion) => void): TemplateResult | typeof nothing {
    if (!this.isOpen) return nothing;
    let group: string | null = null;
    return html`<div class="menu suggestions" part="menu" role="listbox" id="suggestions" aria-label=${this.app.translate("composer.suggestions")}>
      ${repeat(
        this.entries,
        (entry) => entry.id,
        (entry, index) => {
          const heading = entry.group !== group && entry.group ? html`<div class="menu-heading" role="presentation">${entry.group}</div>` : nothing;
          group = entry.group;
          return html`${heading}<div class="menu-entry ${index === this.active ? "active" : ""}" role="option" id="suggestion-${index}"
            aria-selected=${index === this.active} @pointerdown=${(event: Event) => event.preventDefault()} @click=${() => pick(entry)}>
            ${entry.icon}
            <span class="menu-text"><span class="menu-label">${entry.label}</span>
            ${entry.description ? html`<span class="menu-description">${entry.description}</span>` : nothing}</span></div>`;
        },
      )}
    </div>`;
  }
}

function ofEntity(entity: Entity): Suggestion {
  return { id: entity.id, label: entity.title, description: null, icon: namedIcon(entity.icon), group: entity.group ?? null, entity, command: null, run: null };
}

function ofCommand(command: Command): Suggestion {
  const { id, label, description = null, group = null } = command;
  return { id, label, description, icon: namedIcon(command.icon), group, entity: null, command, run: null };
}

function ofEntry(entry: MenuEntry): Suggestion {
  const { id, label, description = null } = entry;
  return { id: `own ${id}`, label, description, icon: entry.icon ?? nothing, group: null, entity: null, command: null, run: () => entry.select() };
}
