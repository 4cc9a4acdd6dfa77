/** Colours of widgets: tokens, steps of hues, CSS; everything that could load something is refused. */

import { isDict } from "./types";

const property = (name: string, light: string, dark: string): string => `var(--ck-${name}, light-dark(${light}, ${dark}))`;

const TEXT = property("color-text", "#18181b", "#ececf1");
const MUTED = property("color-muted", "#5f6068", "#a9a9b4");
const BORDER = property("color-border", "#e4e4e7", "#38383e");
const SURFACE = property("color-surface", "#ffffff", "#18181b");
const RAISED = property("color-surface-raised", "#ffffff", "#212124");
const SUNKEN = property("color-surface-sunken", "#f4f4f5", "#27272b");

const STATES: Record<string, string> = {
  success: property("color-success", "#0f7040", "#5fd39a"),
  warning: property("color-warning", "#8f4d00", "#f2b25c"),
  caution: property("color-warning", "#8f4d00", "#f2b25c"),
  danger: property("color-danger", "#b42318", "#ff8f85"),
  info: property("color-info", "#175cd3", "#84b6ff"),
  discovery: property("color-discovery", "#6b3fc9", "#bfa3ff"),
  accent: property("accent", "#1a56db", "#8ab4ff"),
};

const TOKENS: Record<"text" | "surface" | "border", Record<string, string>> = {
  text: { prose: TEXT, primary: TEXT, default: TEXT, emphasis: TEXT, secondary: MUTED, tertiary: MUTED, ...STATES },
  surface: {
    surface: SURFACE,
    "surface-secondary": SUNKEN,
    "surface-tertiary": `color-mix(in srgb, ${TEXT} 10%, ${SURFACE})`,
    "surface-elevated": RAISED,
    "surface-elevated-secondary": SUNKEN,
    ...STATES,
  },
  border: {
    default: BORDER,
    subtle: `color-mix(in srgb, ${BORDER} 60%, transparent)`,
    strong: property("color-border-strong", "#8e8e98", "#74747f"),
    ...STATES,
  },
};

/** Hue in degrees and chroma of each named hue, in OKLCH. */
const HUES: Record<string, readonly [number, number]> = {
  gray: [270, 0.006],
  grey: [270, 0.006],
  red: [27, 0.21],
  orange: [50, 0.18],
  amber: [72, 0.16],
  yellow: [92, 0.16],
  lime: [125, 0.19],
  green: [150, 0.16],
  emerald: [163, 0.14],
  teal: [185, 0.11],
  cyan: [215, 0.12],
  sky: [235, 0.13],
  blue: [258, 0.19],
  indigo: [277, 0.2],
  violet: [293, 0.21],
  purple: [305, 0.21],
  fuchsia: [322, 0.23],
  pink: [355, 0.2],
  rose: [14, 0.21],
};

const LIGHTNESS: readonly (readonly [number, number])[] = [
  [0, 1],
  [25, 0.985],
  [50, 0.97],
  [100, 0.94],
  [200, 0.885],
  [300, 0.81],
  [400, 0.715],
  [500, 0.63],
  [600, 0.55],
  [700, 0.47],
  [800, 0.4],
  [900, 0.34],
  [950, 0.26],
  [1000, 0.2],
];

function lightnessOf(step: number): number {
  const above = LIGHTNESS.findIndex(([at]) => at >= step);
  if (above <= 0) return LIGHTNESS[Math.max(above, 0)]![1];
  const [lowStep, low] = LIGHTNESS[above - 1]!;
  const [highStep, high] = LIGHTNESS[above]!;
  return low + ((high - low) * (step - lowStep)) / (highStep - lowStep);
}

/** One step of a hue, such as `blue-500`; null for hues that are not named. */
export function hueStep(name: string, step: number): string | null {
  const hue = Object.hasOwn(HUES, name) ? HUES[name] : undefined;
  if (!hue || step < 0 || step > 1000) return null;
  const lightness = lightnessOf(step);
  const chroma = hue[1] * Math.min(1, (1 - lightness) * 3.2) * Math.min(1, lightness * 1.9);
  return `oklch(${lightness.toFixed(3)} ${chroma.toFixed(3)} ${hue[0]})`;
}

const FUNCTIONS = new Set(
  "rgb rgba hsl hsla hwb lab lch oklab oklch color color-mix light-dark calc linear-gradient radial-gradient conic-gradient repeating-linear-gradient repeating-radial-gradient".split(
    " ",
  ),
);

/** Whether a string is made of the parts that colours and gradients are made of, and of nothing that loads. */
export function isPlainColor(value: string): boolean {
  if (value.length > 400 || !/^[\w\s#%.,()+/*-]+$/.test(value)) return false;
  if (value.includes("/*") || value.includes("*/") || value.includes("--")) return false;
  for (const match of value.matchAll(/([\w-]*)\s*\(/g)) {
    const name = match[1]!.toLowerCase();
    if (name !== "" && !FUNCTIONS.has(name)) return false;
  }
  return true;
}

type Role = "text" | "surface" | "border";

function readOne(value: string, role: Role): string | null {
  const name = value.trim();
  const token = Object.hasOwn(TOKENS[role], name) ? TOKENS[role][name] : undefined;
  if (token) return token;
  const alpha = /^alpha-(\d{1,2}|100)$/.exec(name);
  if (alpha) return `color-mix(in srgb, ${TEXT} ${alpha[1]}%, transparent)`;
  const step = /^([a-z]+)-(\d{1,4})$/.exec(name);
  if (step) return hueStep(step[1]!, Number(step[2]));
  return name !== "" && isPlainColor(name) ? name : null;
}

/**
 * CSS for a colour of a widget: a token, a step of a hue, CSS without addresses, or a pair `{light, dark}`.
 *
 * @returns null where the value is none of these.
 */
export function readColor(value: unknown, role: Role): string | null {
  if (typeof value === "string") return readOne(value, role);
  if (!isDict(value)) return null;
  const light = typeof value["light"] === "string" ? readOne(value["light"], role) : null;
  const dark = typeof value["dark"] === "string" ? readOne(value["dark"], role) : null;
  if (light === null || dark === null) return light ?? dark;
  if (/gradient\(/.test(light + dark)) return null;
  return `light-dark(${light}, ${dark})`;
}

/** Whether CSS is a picture rather than a colour. */
export function isGradient(value: string): boolean {
  return /^\s*(?:repeating-)?(?:linear|radial|conic)-gradient\(/.test(value);
}

const SERIES = ["blue", "orange", "teal", "violet", "pink", "amber", "green", "red"];

/** Colour of a chart's series: the given one, or the next of a series that is told apart in light and dark. */
export function seriesColor(value: unknown, place: number): string {
  const hue = typeof value === "string" && Object.hasOwn(HUES, value.trim()) ? value.trim() : null;
  const given = hue === null ? readColor(value, "text") : null;
  if (given !== null && !isGradient(given)) return given;
  const name = hue ?? SERIES[place % SERIES.length]!;
  return `light-dark(${hueStep(name, 550)}, ${hueStep(name, 400)})`;
}
