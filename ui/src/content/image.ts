/** Images of markdown: those that may load, and buttons for the others, for an address can carry away what was said. */

import type { ContentHost } from "../contracts";
import { element } from "./dom";
import { setKey } from "./morph";
import { hostOf, readDataImage, readImage, resolveImage } from "./urls";

/** Addresses that a reader asked for, until the page is left. */
const asked = new Set<string>();

function loading(source: string, alt: string): HTMLElement {
  const image = element("img", { src: source, alt, loading: "lazy", decoding: "async", referrerpolicy: "no-referrer" });
  setKey(image, `${source} ${alt}`);
  return image;
}

/**
 * Shows an image of markdown.
 *
 * Images of the page's own origin and the server's, of the thread's allowed hosts, and `data:` images load at once; others
 * are a button that names their host and loads them. What can be no image is its text.
 */
export function imageElement(address: string, alt: string, host: ContentHost): HTMLElement {
  const data = readDataImage(address);
  const source = data ?? readImage(address, host.allowedImageDomains ?? [], globalThis.location?.href, host.origins);
  if (source !== null) return loading(source, alt);
  const elsewhere = resolveImage(address);
  if (elsewhere !== null && asked.has(elsewhere)) return loading(elsewhere, alt);
  host.onLog("image.refused", { url: address });
  if (elsewhere === null) return element("span", {}, alt || address);
  const label = host.translate("image.load", { host: hostOf(elsewhere) });
  const button = element(
    "button",
    { type: "button", class: "image-button", "data-image": elsewhere, part: "image-button", title: elsewhere.slice(0, 300) },
    ...(alt ? [element("span", { class: "image-alt", dir: "auto" }, alt)] : []),
    element("span", { dir: "auto" }, label),
  );
  setKey(button, `${elsewhere} ${alt} ${label}`);
  return button;
}

/** Loads the image that a button stands for, in its place. */
export function loadImage(button: HTMLElement): void {
  const address = button.dataset["image"] ?? "";
  asked.add(address);
  button.replaceWith(loading(address, button.querySelector(".image-alt")?.textContent ?? ""));
}
