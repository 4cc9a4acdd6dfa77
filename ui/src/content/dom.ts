/** Nodes made by hand. */

import type { ContentHost } from "../contracts";
import { deepHref, type Link } from "./urls";

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

/** An anchor for addresses that lead somewhere, marked where the application may deal with them; bare text for refused ones. */
export function linkElement(link: Link, host: ContentHost, address: string): HTMLElement {
  const outside = { target: "_blank", rel: "noopener noreferrer nofollow", part: "link" };
  if (link.kind === "external") return element("a", { href: link.href, ...outside });
  if (link.kind === "refused") {
    host.onLog("link.refused", { url: address });
    return element("span");
  }
  const href = deepHref(address);
  if (href === null) return element("button", { type: "button", class: "deep", role: "link", "data-deep": address, part: "link" });
  const isWeb = /^https?:/.test(href);
  return element("a", { href, class: "deep", "data-deep": address, ...(isWeb ? outside : { part: "link" }) });
}
