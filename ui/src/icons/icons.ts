/** The icons of the shell and of the header's buttons; others that options name are drawn by `<ck-icon>`. */

import { html, noChange, nothing, type TemplateResult } from "lit";
import { Directive, directive } from "lit/directive.js";
import {
  ArrowDown, ArrowLeft, ArrowLeftFromLine, ArrowLeftToLine, ArrowRightFromLine, ArrowRightToLine, ArrowUp, AtSign, BookOpen, Bug, Check,
  ChevronDown, ChevronLeft, ChevronRight, ChevronsLeft, ChevronsRight, CircleAlert, CircleEllipsis, Clock, Copy, Ellipsis, EllipsisVertical,
  File, FileText, History, House, Image, Info, LayoutGrid, Maximize, Maximize2, Menu, MessageCircleDashed, Mic, Minimize, Minimize2, Moon,
  PanelLeft, PanelLeftClose, PanelLeftDashed, PanelLeftOpen, PanelRight, PanelRightClose, PanelRightDashed, PanelRightOpen, Paperclip, Pencil,
  Plus, Quote, RefreshCw, Search, Settings, Share, Sparkles, Square, SquarePen, Star, Sun, TextAlignJustify, ThumbsDown, ThumbsUp, Trash2,
  TriangleAlert, WifiOff, X,
  type IconNode,
} from "lucide";
import { drawIcon } from "../content/icon";

type Icon = TemplateResult | typeof nothing;

const SHELL = {
  "arrow-down": ArrowDown, "arrow-up": ArrowUp, "at-sign": AtSign, check: Check, "chevron-down": ChevronDown,
  "chevron-left": ChevronLeft, "chevron-right": ChevronRight, alert: CircleAlert, clock: Clock, copy: Copy,
  more: Ellipsis, file: File, "file-text": FileText, history: History, image: Image, info: Info, menu: Menu, mic: Mic,
  paperclip: Paperclip, pencil: Pencil, plus: Plus, quote: Quote, reload: RefreshCw, search: Search, settings: Settings,
  sparkle: Sparkles, stop: Square, compose: SquarePen, "thumbs-down": ThumbsDown,
  "thumbs-up": ThumbsUp, trash: Trash2, warning: TriangleAlert, offline: WifiOff, close: X,
} as unknown as Record<string, IconNode>;

/** The names of `HeaderIcon`. */
const HEADER = {
  "sidebar-left": PanelLeft, "sidebar-right": PanelRight, "sidebar-open-left": PanelLeftOpen, "sidebar-open-right": PanelRightOpen,
  "sidebar-open-left-alt": PanelLeftOpen, "sidebar-open-right-alt": PanelRightOpen, "sidebar-floating-left": PanelLeftDashed,
  "sidebar-floating-right": PanelRightDashed, "sidebar-floating-open-left": PanelLeftOpen, "sidebar-floating-open-right": PanelRightOpen,
  "sidebar-collapse-left": PanelLeftClose, "sidebar-collapse-right": PanelRightClose, "collapse-left": ArrowLeftToLine,
  "collapse-right": ArrowRightToLine, "open-left": ArrowLeftFromLine, "open-right": ArrowRightFromLine, "double-chevron-left": ChevronsLeft,
  "double-chevron-right": ChevronsRight, home: House, "home-alt": House, "back-small": ChevronLeft, "back-large": ArrowLeft,
  "expand-large": Maximize, "collapse-large": Minimize, "expand-small": Maximize2, "collapse-small": Minimize2, star: Star,
  "star-filled": Star, bug: Bug, "chat-temporary": MessageCircleDashed, "settings-cog": Settings, grid: LayoutGrid,
  "dots-horizontal": Ellipsis, "dots-vertical": EllipsisVertical, "dots-horizontal-circle": CircleEllipsis,
  "dots-vertical-circle": CircleEllipsis, menu: Menu, "menu-inverted": TextAlignJustify, hamburger: Menu, history: History,
  "book-open": BookOpen, compose: SquarePen, share: Share, "light-mode": Sun, "dark-mode": Moon, close: X,
} as unknown as Record<string, IconNode>;

class Drawn extends Directive {
  #node: IconNode | null = null;

  override render(node: IconNode): unknown {
    // The same picture stays where it is.
    if (node === this.#node) return noChange;
    this.#node = node;
    const svg = drawIcon(node);
    svg.setAttribute("class", "icon");
    return svg;
  }
}
const drawn = directive(Drawn);

/** An icon of the shell, there at once. */
export function icon(name: string): Icon {
  const node = SHELL[name];
  return node ? html`${drawn(node)}` : nothing;
}

/** An icon of the header's buttons. */
export function headerIcon(name: string): Icon {
  const node = Object.hasOwn(HEADER, name) ? HEADER[name] : undefined;
  return node ? html`${drawn(node)}` : namedIcon(name);
}

/** An icon that an application named: one of the protocol's, or `lucide:...`. */
export function namedIcon(name: string | null | undefined): Icon {
  return name ? html`<ck-icon class="named-icon" .name=${name}></ck-icon>` : nothing;
}
