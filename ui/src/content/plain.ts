/** A block as it was written: what stands in for one that cannot be rendered. */

import { element } from "./dom";

export function plainBlock(raw: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  fragment.append(element("p", { class: "plain", dir: "auto" }, raw.replace(/\n+$/, "")));
  return fragment;
}
