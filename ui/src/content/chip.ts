/** The small numbered mark after a statement that has a source. */

import type { ContentHost } from "../contracts";
import type { Citation } from "./citations";
import { element } from "./dom";
import { readLink } from "./urls";

/** Builds the chip: a link for web sources, a button for files and entities. */
export function citationChip({ number, source }: Citation, host: ContentHost): HTMLElement {
  const label = host.translate("sources.citation", { number, title: source.title });
  const inline = source.type === "entity" ? (source.inline_label ?? "") : "";
  const common = { class: inline ? "cite named" : "cite", "aria-label": label, "data-citation": String(number), dir: "auto", part: "citation" };
  const link = source.type === "url" ? readLink(source.url) : null;
  const chip =
    link?.kind === "external"
      ? element("a", { ...common, href: link.href, target: "_blank", rel: "noopener noreferrer nofollow" })
      : element("button", { ...common, type: "button" });
  chip.append(inline || String(number));
  return chip;
}
