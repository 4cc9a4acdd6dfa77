/** Nodes made by hand. */

import type { ContentHost } from "../contracts";
import type { Link } from "./urls";

/** Creates an element with attributes and children; strings become text. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, string> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** An anchor for addresses that open outside, a button for deep links, bare text for refused ones. */
export function linkElement(link: Link, host: ContentHost, address: string): HTMLElement {
  if (link.kind === "external") {
    return element("a", { href: link.href, target: "_blank", rel: "noopener noreferrer nofollow", part: "link" });
  }
  if (link.kind === "refused") {
    host.onLog("link.refused", { url: address });
    return element("span");
  }
  return element("button", { type: "button", class: "deep", role: "link", "data-deep": address, part: "link" });
}
