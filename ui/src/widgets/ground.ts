/** What stands on a background of a widget's own can be read, whatever the scheme around it is. */

import { type Color, contrast, luminance, over, parseColor, READABLE, textOn } from "../theme/color";
import { isDict } from "./types";
import { backgroundStyles, type Styles } from "./sizes";

export type Scheme = "light" | "dark";

const SURFACES: Readonly<Record<Scheme, Color>> = { light: parseColor("#fff")!, dark: parseColor("#18181b")! };
const TEXTS: Readonly<Record<Scheme, Color>> = { light: parseColor("#18181b")!, dark: parseColor("#ececf1")! };
const MUTED: Readonly<Record<Scheme, Color>> = { light: parseColor("#5f6068")!, dark: parseColor("#a9a9b4")! };

/** Cuts at the commas that are in no brackets. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  let [depth, start] = [0, 0];
  for (let place = 0; place <= text.length; place += 1) {
    const sign = text[place];
    if (sign === "(") depth += 1;
    else if (sign === ")") depth -= 1;
    else if ((sign === "," && depth === 0) || sign === undefined) {
      parts.push(text.slice(start, place).trim());
      start = place + 1;
    }
  }
  return parts;
}

/** Colours that a piece of CSS shows in a scheme: one, those of a gradient, or none that can be told. */
function colorsOf(css: string, scheme: Scheme): Color[] {
  const call = /^([a-z-]+)\((.*)\)$/s.exec(css.trim());
  if (!call) return [parseColor(css)].filter((color) => color !== null);
  const [, name, body] = call as unknown as [string, string, string];
  const parts = partsOf(body);
  if (name === "var") return parts.length > 1 ? colorsOf(parts.slice(1).join(","), scheme) : [];
  if (name === "light-dark") return colorsOf(parts[scheme === "light" ? 0 : 1] ?? "", scheme);
  if (name === "color-mix") return mixed(parts, scheme);
  if (name.endsWith("gradient")) return parts.flatMap((part) => colorsOf(part.replace(/(?:\s+-?[\d.]+(?:%|px|em|rem)?)+$/, ""), scheme));
  return [parseColor(css)].filter((color) => color !== null);
}

/** `color-mix()` of two colours; near enough for what is asked of it. */
function mixed([, first = "", second = ""]: readonly string[], scheme: Scheme): Color[] {
  const share = /\s+([\d.]+)%$/.exec(first);
  const one = colorsOf(share ? first.slice(0, share.index) : first, scheme)[0];
  const other = colorsOf(second.replace(/\s+[\d.]+%$/, ""), scheme)[0];
  const part = share ? Number(share[1]) / 100 : 0.5;
  if (!one || !other) return [];
  if (other.alpha === 0) return [{ ...one, alpha: one.alpha * part }];
  return [{ ...over({ ...one, alpha: part }, other), alpha: one.alpha * part + other.alpha * (1 - part) }];
}

/**
 * Styles of a background and of what stands on it.
 *
 * @returns the scheme that fits what is inside: pale backgrounds are light and deep ones dark, wherever they stand.
 */
export function groundStyles(value: unknown, scheme: Scheme): { styles: Styles; scheme: Scheme } {
  const one = isDict(value) ? (value[scheme] ?? value["light"] ?? value["dark"]) : value;
  const styles = backgroundStyles(value);
  const css = styles["background-color"] ?? styles["background-image"];
  const grounds = css === undefined ? [] : colorsOf(css, scheme).map((color) => over(color, SURFACES[scheme]));
  if (grounds.length === 0) return { styles, scheme };
  const fits = (text: Color): boolean => grounds.every((ground) => contrast(text, ground) >= READABLE);
  if (fits(TEXTS[scheme]) && fits(MUTED[scheme])) return { styles, scheme };
  const other = scheme === "light" ? "dark" : "light";
  // Of a pair, the colour of this scheme goes on being shown.
  Object.assign(styles, backgroundStyles(one));
  const kept = styles["background-color"] ?? "";
  if (kept.includes("light-dark(")) styles["background-color"] = kept.replace(/light-dark\(([^()]*(?:\([^()]*\)[^()]*)*)\)/g, (_all, pair: string) => partsOf(pair)[scheme === "light" ? 0 : 1]!);
  const inside = fits(TEXTS[other]) || !fits(TEXTS[scheme]) ? other : scheme;
  styles["color-scheme"] = inside;
  if (fits(TEXTS[inside]) && fits(MUTED[inside])) styles["color"] = "var(--ck-color-text, light-dark(#18181b, #ececf1))";
  else {
    // In the middle of all colours only black or white can be read.
    const text = textOn(grounds.toSorted((left, right) => luminance(left) - luminance(right))[Math.floor(grounds.length / 2)]!);
    Object.assign(styles, { color: text, "--ck-color-text": text, "--ck-color-muted": text, "color-scheme": text === "#ffffff" ? "dark" : "light" });
  }
  return { styles, scheme: styles["color-scheme"] as Scheme };
}
