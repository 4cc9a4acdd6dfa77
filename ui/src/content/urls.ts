/** Which addresses of model and user text may become links or images. */

export type Link =
  | { readonly kind: "external"; readonly href: string }
  | { readonly kind: "deep"; readonly name: string; readonly data: Record<string, unknown> }
  | { readonly kind: "refused" };

const REFUSED = new Set(["javascript:", "data:", "vbscript:", "file:", "filesystem:", "blob:", "about:", "view-source:", "ftp:", "ws:", "wss:"]);
const REFUSED_LINK: Link = { kind: "refused" };
/** Schemes that the reader's own programs answer to; what others would start is not known. */
const CONTACTS = new Set(["tel:", "sms:", "geo:", "sip:", "sips:", "xmpp:", "matrix:"]);

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

/** Where a deep link leads in a page that does nothing of its own with it; null where it leads nowhere. */
export function deepHref(address: string, page: string = globalThis.document?.baseURI ?? ""): string | null {
  const squeezed = squeeze(address);
  const url = parse(squeezed);
  if (url) return CONTACTS.has(url.protocol) ? url.href : null;
  return pathIn(page, squeezed);
}

/** The address of a path in the page's own origin; null where the page has none or the path leads out of it. */
function pathIn(page: string, path: string): string | null {
  const base = parse(page);
  if (!base || (base.protocol !== "http:" && base.protocol !== "https:")) return null;
  try {
    const url = new URL(path, base);
    return url.origin === base.origin ? url.href : null;
  } catch {
    return null;
  }
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

/** The whole address of an image on http or https, whatever its spelling; null where it is none. */
export function resolveImage(address: string, page: string = globalThis.location?.href ?? ""): string | null {
  const squeezed = squeeze(address);
  // Without a slash it is relative to a page that the text knows nothing of.
  const isPath = /^(?:\/|[/\\]{2})/.test(squeezed) && /^https?:/.test(page);
  let url: URL;
  try {
    url = isPath ? new URL(squeezed, page) : new URL(squeezed);
  } catch {
    return null;
  }
  const isWeb = url.protocol === "https:" || url.protocol === "http:";
  return isWeb && !url.username && !url.password ? url.href : null;
}

/** An image that is in its address; SVG is left out, for it may hold script. Null for other addresses. */
export function readDataImage(address: string): string | null {
  return /^data:image\/(?:png|jpeg|jpg|webp|gif|avif)(?:;base64)?,[\w+/=%-]+$/i.test(address) ? address : null;
}

/** The host and port that an entry of `allowed_image_domains` names; null where it names none. */
function readDomain(entry: string): URL | null {
  return parse(`https://${entry.trim().replace(/^https?:\/\//i, "").replace(/^\*?\./, "").replace(/\/.*$/, "")}`);
}

/**
 * The address of an image, where it may load without being asked for; null otherwise.
 *
 * @param allowed hosts that https images may come from, those below them included; null for every host.
 * @param origins the application's own besides that of `page`.
 */
export function readImage(address: string, allowed: readonly string[] | null, page: string = globalThis.location?.href ?? "", origins: readonly string[] = []): string | null {
  const href = resolveImage(address, page);
  const url = href === null ? null : parse(href);
  if (!url) return null;
  const own = parse(page)?.origin;
  if ((own !== undefined && own !== "null" && url.origin === own) || origins.includes(url.origin)) return url.href;
  if (url.protocol !== "https:") return null;
  if (allowed === null) return url.href;
  const listed = allowed.some((entry) => {
    const domain = readDomain(entry);
    return domain !== null && url.port === domain.port && (url.hostname === domain.hostname || url.hostname.endsWith(`.${domain.hostname}`));
  });
  return listed ? url.href : null;
}
