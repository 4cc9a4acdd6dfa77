/** What a reader gets of an answer: the markup, without what is filled in later or parts a large block into sections. */

import type { CkMarkdown } from "../src/content/markdown";

export function told(view: CkMarkdown): string {
  const root = view.shadowRoot!.querySelector(".root")!.cloneNode(true) as Element;
  for (const node of root.querySelectorAll<HTMLElement>(".math, code")) {
    node.replaceChildren(node.dataset["tex"] ?? node.textContent ?? "");
    node.classList.remove("done", "failed");
    node.removeAttribute("data-tex");
  }
  for (const done of root.querySelectorAll(".done")) {
    const next = done.nextElementSibling;
    if (!next) continue;
    next.prepend(...done.childNodes);
    const start = done.getAttribute("start");
    if (start) next.setAttribute("start", start);
    else next.removeAttribute("start");
    done.remove();
  }
  for (const table of root.querySelectorAll("table")) {
    table.removeAttribute("style");
    table.removeAttribute("class");
  }
  root.normalize();
  return [...root.querySelectorAll(".block, .notes")].map((block) => block.outerHTML).join("\n");
}
