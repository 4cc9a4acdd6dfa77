/** The icons of the shell, and those that options may name, out of Lucide's set. */

import { html, nothing, svg, type TemplateResult } from "lit";
import {
  ArrowDown, ArrowUp, AtSign, Check, ChevronDown, ChevronLeft, ChevronRight, CircleAlert, Clock, Copy, Ellipsis, File, FileText,
  History, Image, Info, Menu, Mic, Paperclip, Pencil, Plus, Quote, RefreshCw, Search, Settings, SlidersHorizontal, Sparkles,
  Square, SquarePen, ThumbsDown, ThumbsUp, Trash2, TriangleAlert, WifiOff, X,
} from "lucide";

export type IconNode = readonly (readonly [string, Record<string, string | number | undefined>])[];

const SHELL: Record<string, IconNode> = {
  "arrow-down": ArrowDown, "arrow-up": ArrowUp, "at-sign": AtSign, check: Check, "chevron-down": ChevronDown,
  "chevron-left": ChevronLeft, "chevron-right": ChevronRight, alert: CircleAlert, clock: Clock, copy: Copy,
  more: Ellipsis, file: File, "file-text": FileText, history: History, image: Image, info: Info, menu: Menu, mic: Mic,
  paperclip: Paperclip, pencil: Pencil, plus: Plus, quote: Quote, reload: RefreshCw, search: Search, settings: Settings,
  sliders: SlidersHorizontal, sparkle: Sparkles, stop: Square, compose: SquarePen, "thumbs-down": ThumbsDown,
  "thumbs-up": ThumbsUp, trash: Trash2, warning: TriangleAlert, offline: WifiOff, close: X,
} as unknown as Record<string, IconNode>;

type More = (name: string) => IconNode | null;
let more: More | null = null;
let loading: Promise<void> | null = null;

function draw(node: IconNode): TemplateResult {
  return html`<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round"
    stroke-linejoin="round" aria-hidden="true" focusable="false">${node.map(([tag, attributes]) => shape(tag, attributes))}</svg>`;
}

function shape(tag: string, a: Record<string, string | number | undefined>): TemplateResult | typeof nothing {
  const x = (value: string | number | undefined): string | number | typeof nothing => value ?? nothing;
  switch (tag) {
    case "path":
      return svg`<path d=${x(a["d"])} fill=${x(a["fill"])} />`;
    case "circle":
      return svg`<circle cx=${x(a["cx"])} cy=${x(a["cy"])} r=${x(a["r"])} fill=${x(a["fill"])} />`;
    case "line":
      return svg`<line x1=${x(a["x1"])} x2=${x(a["x2"])} y1=${x(a["y1"])} y2=${x(a["y2"])} />`;
    case "rect":
      return svg`<rect x=${x(a["x"])} y=${x(a["y"])} width=${x(a["width"])} height=${x(a["height"])} rx=${x(a["rx"])} fill=${x(a["fill"])} />`;
    case "polyline":
      return svg`<polyline points=${x(a["points"])} />`;
    case "polygon":
      return svg`<polygon points=${x(a["points"])} />`;
    case "ellipse":
      return svg`<ellipse cx=${x(a["cx"])} cy=${x(a["cy"])} rx=${x(a["rx"])} ry=${x(a["ry"])} />`;
    default:
      return nothing;
  }
}

/** An icon of the shell, there at once. */
export function icon(name: string): TemplateResult | typeof nothing {
  const node = SHELL[name];
  return node ? draw(node) : nothing;
}

/** An icon that an application named; drawn when the whole set is there, after `onLoaded`. */
export function namedIcon(name: string | null | undefined, onLoaded: () => void): TemplateResult | typeof nothing {
  if (!name) return nothing;
  if (more === null) {
    loading ??= import("./named").then((module) => {
      more = module.findIcon;
    });
    loading.then(onLoaded, () => undefined);
    return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"></svg>`;
  }
  const node = more(name);
  return node ? draw(node) : nothing;
}
