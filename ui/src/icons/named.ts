/** Icons by the names that options and servers use: ChatKit's own, those of the header, and `lucide:...`. */

import { icons } from "lucide";
import type { IconNode } from "./icons";

const LUCIDE: Record<string, string> = {
  agent: "bot", analytics: "chart-no-axes-column", batch: "layers", bolt: "zap", "book-closed": "book", "book-clock": "book-marked",
  chart: "chart-column", "check-circle": "circle-check", "check-circle-filled": "circle-check-big", "circle-question": "circle-question-mark",
  confetti: "party-popper", cube: "box", desktop: "monitor", document: "file-text", dot: "dot", "dots-horizontal": "ellipsis",
  "dots-vertical": "ellipsis-vertical", "empty-circle": "circle", keys: "key-round", lab: "flask-conical", lifesaver: "life-buoy",
  maps: "map", mobile: "smartphone", name: "id-card", "notebook-pencil": "notebook-pen", "page-blank": "file", profile: "circle-user-round",
  "profile-card": "contact", reload: "refresh-cw", "star-filled": "star", sparkle: "sparkle", "sparkle-double": "sparkles",
  "square-image": "image", "square-text": "square-menu", suitcase: "briefcase", "settings-slider": "sliders-horizontal", wreath: "award",
  write: "pencil", "write-alt": "square-pen", "write-alt2": "pen-line",
  "sidebar-left": "panel-left", "sidebar-right": "panel-right", "sidebar-open-left": "panel-left-open", "sidebar-open-right": "panel-right-open",
  "sidebar-open-left-alt": "panel-left-open", "sidebar-open-right-alt": "panel-right-open", "sidebar-floating-left": "panel-left-dashed",
  "sidebar-floating-right": "panel-right-dashed", "sidebar-floating-open-left": "panel-left-open", "sidebar-floating-open-right": "panel-right-open",
  "sidebar-collapse-left": "panel-left-close", "sidebar-collapse-right": "panel-right-close", "collapse-left": "arrow-left-to-line",
  "collapse-right": "arrow-right-to-line", "open-left": "arrow-left-from-line", "open-right": "arrow-right-from-line",
  "double-chevron-left": "chevrons-left", "double-chevron-right": "chevrons-right", home: "house", "home-alt": "house", "back-small": "chevron-left",
  "back-large": "arrow-left", "expand-large": "maximize", "collapse-large": "minimize", "expand-small": "maximize-2", "collapse-small": "minimize-2",
  "chat-temporary": "message-circle-dashed", "settings-cog": "settings", grid: "layout-grid", "dots-horizontal-circle": "circle-ellipsis",
  "dots-vertical-circle": "circle-ellipsis", "menu-inverted": "text-align-justify", hamburger: "menu", compose: "square-pen", share: "share",
  "light-mode": "sun", "dark-mode": "moon", close: "x",
};

const FILLED = new Set(["star-filled"]);
const all = icons as unknown as Record<string, IconNode>;

/** Returns an icon's shapes, or null where no icon has that name. */
export function findIcon(name: string): IconNode | null {
  const plain = name.startsWith("lucide:") ? name.slice("lucide:".length) : (LUCIDE[name] ?? name);
  const pascal = plain.replace(/(^|-)([a-z0-9])/g, (_, __, letter: string) => letter.toUpperCase());
  const node = all[pascal] ?? null;
  return node && FILLED.has(name) ? node.map(([tag, attributes]) => [tag, { ...attributes, fill: "currentColor" }] as const) : node;
}
