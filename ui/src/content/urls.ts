/** Which addresses of model and user text may become links or images. */

export type Link =
  | { readonly kind: "external"; readonly href: string }
  | { readonly kind: "deep"; readonly name: string; readonly data: Record<string, unknown> }
  | { readonly kind: "refused" };

const REFUSED = new Set(["javascript:", "data:", "vbscript:", "file:", "filesystem:", "blob:", "about:", "view-source:", "ftp:", "ws:", "wss:"]);
const REFUSED_LINK: Link = { kind: "refused" };

/** Browsers skip control characters and blanks when they read a scheme; so do we, before we judge it. */
function squeeze(address: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return address.replace(/[\u0000-\u0020\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufdd0-\ufdef]/g, "");
}

function parse(address: string): URL | null {
  try {
    return new URL(address);
  } catch {
    return null;
  }
}

/**
 * Judges the address of a link.
 *
 * http, https and mailto open outside; another scheme or a path is a deep link, whose `name` is the path without
 * slashes at its ends and whose `data` holds the `url` and the parameters of its query; what could run code is refused.
 */
export function readLink(address: string): Link {
  const squeezed = squeeze(address);
  if (squeezed === "" || squeezed.startsWith("//") || squeezed.startsWith("\\")) return REFUSED_LINK;
  const url = parse(squeezed);
  if (url && (url.protocol === "http:" || url.protocol === "https:" || url.protocol === "mailto:")) {
    if (url.username || url.password) return REFUSED_LINK;
    return { kind: "external", href: url.href };
  }
  if (url && (REFUSED.has(url.protocol) || url.protocol.length < 3)) return REFUSED_LINK;
  if (!url && /^[^/?#]*:/.test(squeezed)) return REFUSED_LINK;
  const deep = url ?? parse(`deep://${squeezed.startsWith("/") ? "" : "/"}${squeezed}`);
  if (!deep) return REFUSED_LINK;
  const path = url ? `${deep.host}${deep.pathname}` : deep.pathname;
  const name = path.replace(/^\/+|\/+$/g, "") || squeezed;
  return { kind: "deep", name, data: { ...Object.fromEntries(deep.searchParams), url: squeezed } };
}

/** The address of an attachment's preview, which the application's own store gave; null for what is no picture's. */
export function readPreview(address: string): string | null {
  if (/^data:image\/(?:png|jpeg|webp|gif|avif);/i.test(address)) return address;
  const url = parse(address);
  if (!url || url.username || url.password) return null;
  const isOwn = url.protocol === "blob:" && url.origin === globalThis.location?.origin;
  return isOwn || url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
}

/** The host of an address for display, without `www.`; the address itself where it has none. */
export function hostOf(address: string): string {
  return parse(address)?.host.replace(/^www\./, "") ?? address;
}

/** The address of an image, where its host may be asked for one; null otherwise. */
export function readImage(address: string, allowed: readonly string[] | null, page: string = globalThis.location?.href ?? ""): string | null {
  const url = parse(squeeze(address)) ?? (/^\/(?![/\\])/.test(address) && page ? parse(new URL(address, page).href) : null);
  if (!url || url.username || url.password) return null;
  const own = page !== "" && url.origin === parse(page)?.origin && url.origin !== "null";
  if (own && (url.protocol === "http:" || url.protocol === "https:")) return url.href;
  if (url.protocol !== "https:") return null;
  if (allowed === null) return url.href;
  const host = url.hostname.toLowerCase();
  const listed = allowed.some((entry) => {
    const domain = entry.toLowerCase().replace(/^https?:\/\//, "").replace(/^\*?\./, "").replace(/[:/].*$/, "");
    return domain !== "" && (host === domain || host.endsWith(`.${domain}`));
  });
  return listed ? url.href : null;
}
