/** Lengths, spacings, borders and corners of widgets as CSS. */

import { isGradient, readColor } from "./colors";
import { type Dict, isDict, oneOf } from "./types";

export type Styles = Record<string, string>;

const LENGTH = /^-?(?:\d+\.?\d*|\.\d+)(?:px|rem|em|ch|ex|lh|%|vh|vw|svh|svw|dvh|dvw|vmin|vmax|cqw|cqh|fr|pt)?$/;
const WORDS = new Set(["auto", "min-content", "max-content", "fit-content", "100%", "0"]);

/** Spaces between things count in steps of the theme's spacing unit; sizes of things count in pixels. */
type Unit = "pixel" | "step";

function inUnit(value: number, unit: Unit): string {
  if (value === 0) return "0px";
  return unit === "pixel" ? `${value}px` : `calc(var(--ck-space, 4px) * ${value})`;
}

/** CSS for a length; null where it is none. */
export function readLength(value: unknown, unit: Unit): string | null {
  if (typeof value === "number") return Number.isFinite(value) && Math.abs(value) < 1e5 ? inUnit(value, unit) : null;
  if (typeof value !== "string") return null;
  const plain = value.trim();
  if (/^-?\d+(?:\.\d+)?$/.test(plain)) return inUnit(Number(plain), unit);
  if (WORDS.has(plain) || LENGTH.test(plain)) return plain;
  return plain.length < 100 && /^(?:calc|min|max|clamp)\([\w\s.,%()+*/-]+\)$/.test(plain) && !/--|\/\*/.test(plain) ? plain : null;
}

type Side = "block-start" | "block-end" | "inline-start" | "inline-end";
const SIDES: readonly (readonly [Side, string, string])[] = [
  ["block-start", "top", "y"],
  ["block-end", "bottom", "y"],
  ["inline-start", "left", "x"],
  ["inline-end", "right", "x"],
];

/** Padding or margin: one value, CSS with up to four, or sides; `left` is where lines begin. */
export function readSpacing(name: "padding" | "margin", value: unknown): Styles {
  if (isDict(value)) {
    const styles: Styles = {};
    for (const [side, own, axis] of SIDES) {
      const length = readLength(value[own] ?? value[axis], "step");
      if (length !== null) styles[`${name}-${side}`] = length;
    }
    return styles;
  }
  const parts = typeof value === "string" ? value.trim().split(/\s+(?![^(]*\))/) : [value];
  const lengths = parts.map((part) => readLength(part, "step"));
  if (lengths.length > 4 || lengths.some((length) => length === null)) return {};
  return { [name]: lengths.join(" ") };
}

const BORDER_STYLES = ["solid", "dashed", "dotted", "double", "groove", "ridge", "inset", "outset"] as const;

function oneBorder(value: unknown): string | null {
  if (typeof value === "number") return `${value}px solid ${readColor("default", "border")!}`;
  if (!isDict(value) || typeof value["size"] !== "number") return null;
  const style = oneOf(value["style"], BORDER_STYLES, "solid");
  return `${value["size"]}px ${style} ${readColor(value["color"], "border") ?? readColor("default", "border")!}`;
}

/** A border all round, or of single sides. */
export function readBorder(value: unknown): Styles {
  const whole = oneBorder(value);
  if (whole !== null) return { border: whole };
  if (!isDict(value)) return {};
  const styles: Styles = {};
  for (const [side, own, axis] of SIDES) {
    const line = oneBorder(value[own] ?? value[axis]);
    if (line !== null) styles[`border-${side}`] = line;
  }
  return styles;
}

const RADII: Record<string, string> = {
  none: "0px",
  "2xs": "0.15",
  xs: "0.25",
  sm: "0.4",
  md: "0.6",
  lg: "0.8",
  xl: "1",
  "2xl": "1.3",
  "3xl": "1.7",
  "4xl": "2.2",
  full: "9999px",
  "100%": "100%",
};

/** A corner by name, as a part of the theme's radius. */
export function readRadius(value: unknown): string | null {
  const named = typeof value === "string" && Object.hasOwn(RADII, value) ? RADII[value]! : null;
  if (named === null) return null;
  return /^[\d.]+$/.test(named) ? `calc(var(--ck-radius, 12px) * ${named})` : named;
}

const ALIGN: Record<string, string> = { start: "flex-start", center: "center", end: "flex-end", baseline: "baseline", stretch: "stretch" };
const JUSTIFY: Record<string, string> = {
  start: "flex-start",
  center: "center",
  end: "flex-end",
  between: "space-between",
  around: "space-around",
  evenly: "space-evenly",
  stretch: "stretch",
};

function named(table: Record<string, string>, value: unknown): string | null {
  return typeof value === "string" && Object.hasOwn(table, value) ? table[value]! : null;
}

export function readAspectRatio(value: unknown): string | null {
  if (typeof value === "number" && value > 0) return String(value);
  return typeof value === "string" && /^(?:auto|\d+(?:\.\d+)?(?:\s*\/\s*\d+(?:\.\d+)?)?)$/.test(value.trim()) ? value.trim() : null;
}

function put(styles: Styles, name: string, value: string | null): void {
  if (value !== null) styles[name] = value;
}

/** Sizes, margin and corners, as blocks and images have them. */
export function blockStyles(node: Dict): Styles {
  const styles: Styles = {};
  for (const [prefix, field] of [
    ["", "size"],
    ["min-", "minSize"],
    ["max-", "maxSize"],
  ] as const) {
    const both = readLength(node[field], "pixel");
    const named = (axis: string): string => (prefix === "" ? axis.toLowerCase() : `${prefix.slice(0, -1)}${axis}`);
    put(styles, `${prefix}width`, readLength(node[named("Width")], "pixel") ?? both);
    put(styles, `${prefix}height`, readLength(node[named("Height")], "pixel") ?? both);
  }
  put(styles, "aspect-ratio", readAspectRatio(node["aspectRatio"]));
  put(styles, "border-radius", readRadius(node["radius"]));
  Object.assign(styles, readSpacing("margin", node["margin"]));
  const flex = node["flex"];
  if (typeof flex === "number") styles["flex"] = `${flex} ${flex > 0 ? 1 : 0} 0%`;
  else if (typeof flex === "string" && /^(?:none|auto|initial|[\d.]+(?:\s+[\d.]+)?(?:\s+[\d.]+(?:px|%|rem|em)?|\s+auto)?)$/.test(flex)) styles["flex"] = flex;
  return styles;
}

/** What a background means: a colour or a gradient. */
export function backgroundStyles(value: unknown): Styles {
  const color = readColor(value, "surface");
  if (color === null) return {};
  return isGradient(color) ? { "background-image": color } : { "background-color": color };
}

/** Everything of Box, Row, Col and Form. */
export function boxStyles(node: Dict): Styles {
  const styles = blockStyles(node);
  put(styles, "align-items", named(ALIGN, node["align"]));
  put(styles, "justify-content", named(JUSTIFY, node["justify"]));
  put(styles, "gap", readLength(node["gap"], "step"));
  put(styles, "flex-wrap", named({ nowrap: "nowrap", wrap: "wrap", "wrap-reverse": "wrap-reverse" }, node["wrap"]));
  Object.assign(styles, readSpacing("padding", node["padding"]), readBorder(node["border"]), node["background"] === undefined ? {} : backgroundStyles(node["background"]));
  return styles;
}
