/** Turns the option `theme` into CSS variables. */

import type { ChatKitOptions, ColorScheme, FontObject, ThemeOption } from "@openai/chatkit";

import { type Color, over, parseColor, readableOn, resolveColor, textOn, toHex } from "./color";

export type Variables = Record<string, string>;

const RADII: Record<string, [small: string, medium: string, large: string, control: string]> = {
  pill: ["8px", "14px", "22px", "999px"],
  round: ["8px", "12px", "18px", "12px"],
  soft: ["5px", "8px", "10px", "8px"],
  sharp: ["0px", "0px", "0px", "0px"],
};
const DENSITIES: Record<string, number> = { compact: 0.8, normal: 1, spacious: 1.25 };
const SANS = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif';
const MONO = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace';

/** Lightness of each colour, from 0 to 1, in both schemes. */
const LIGHTNESS: Record<ColorScheme, Record<string, number>> = {
  light: {
    "color-surface": 1, "color-surface-raised": 1, "color-surface-sunken": 0.972, "color-hover": 0.952, "color-pressed": 0.915,
    "color-border": 0.905, "color-border-strong": 0.64, "color-border-soft": 0.84, "color-text": 0.21, "color-muted": 0.48, "color-faint-text": 0.53,
  },
  dark: {
    "color-surface": 0.2, "color-surface-raised": 0.235, "color-surface-sunken": 0.25, "color-hover": 0.285, "color-pressed": 0.34,
    "color-border": 0.335, "color-border-strong": 0.56, "color-border-soft": 0.4, "color-text": 0.955, "color-muted": 0.755, "color-faint-text": 0.7,
  },
};
const STATES: Record<ColorScheme, Variables> = {
  light: { "color-danger": "#b42318", "color-warning": "#8f4d00", "color-success": "#0f7040", "color-info": "#175cd3", "color-discovery": "#6b3fc9" },
  dark: { "color-danger": "#ff8f85", "color-warning": "#f2b25c", "color-success": "#5fd39a", "color-info": "#84b6ff", "color-discovery": "#bfa3ff" },
};

export function schemeOf(theme: ChatKitOptions["theme"]): ColorScheme {
  const scheme = typeof theme === "object" ? theme.colorScheme : theme;
  return scheme === "dark" ? "dark" : "light";
}

/** Returns the variables of a theme, without their prefix `--ck-`; colours say what they are in either scheme. */
export function variablesOf(option: ChatKitOptions["theme"]): Variables {
  const theme: ThemeOption = typeof option === "object" ? option : {};
  const [small, medium, large, control] = RADII[theme.radius ?? "pill"] ?? RADII["pill"]!;
  const density = DENSITIES[theme.density ?? "normal"] ?? 1;
  const variables: Variables = {
    radius: medium,
    "radius-sm": small,
    "radius-md": medium,
    "radius-lg": large,
    "radius-control": control,
    density: String(density),
    space: `${4 * density}px`,
    "font-size": `${theme.typography?.baseSize ?? 16}px`,
    font: theme.typography?.fontFamily ? `${theme.typography.fontFamily}, ${SANS}` : SANS,
    "font-mono": theme.typography?.fontFamilyMono ? `${theme.typography.fontFamilyMono}, ${MONO}` : MONO,
    "focus-ring": "2px solid var(--ck-link)",
    shadow: "0 1px 3px rgb(0 0 0 / 10%), 0 8px 28px rgb(0 0 0 / 14%)",
  };
  const light = colorsOf(theme, "light");
  const dark = colorsOf(theme, "dark");
  for (const [name, value] of Object.entries(light)) variables[name] = value === dark[name] ? value : `light-dark(${value}, ${dark[name]})`;
  return variables;
}

function colorsOf(theme: ThemeOption, scheme: ColorScheme): Variables {
  const colors: Variables = { ...STATES[scheme] };
  const { hue = 260, tint = 0, shade = 0 } = theme.color?.grayscale ?? {};
  const chroma = Math.min(Math.max(tint, 0), 9) * 0.004;
  for (const [name, base] of Object.entries(LIGHTNESS[scheme])) {
    // Shade moves what is behind the text, never the text: its contrast has to stay.
    const step = scheme === "dark" ? shade * 0.02 : -Math.max(0, shade) * 0.012;
    const moved = name.includes("text") || name.includes("muted") ? base : Math.min(1, Math.max(0, base + step));
    colors[name] = `oklch(${round(moved)} ${round(moved === 1 ? 0 : chroma)} ${hue})`;
  }
  const { surface, accent } = theme.color ?? {};
  // Surface colours are given for the scheme that the page asked for, and are no help in the other one.
  if (surface && scheme === schemeOf(theme) && known(surface.background, "theme.color.surface.background") && known(surface.foreground, "theme.color.surface.foreground")) {
    colors["color-surface"] = surface.background;
    colors["color-surface-raised"] = surface.background;
    colors["color-surface-sunken"] = surface.foreground;
    colors["color-hover"] = `color-mix(in oklab, ${surface.foreground} 93%, ${colors["color-text"]})`;
    colors["color-pressed"] = `color-mix(in oklab, ${surface.foreground} 87%, ${colors["color-text"]})`;
  }
  const fallback = scheme === "dark" ? "#f2f2f3" : "#18181b";
  const primary = accent?.primary === undefined ? fallback : (known(accent.primary, "theme.color.accent.primary") ? accent.primary.trim() : fallback);
  const ground = groundOf(colors, "color-surface");
  const shown = over(resolveColor(primary) ?? parseColor(fallback)!, ground);
  const level = accent?.level ?? 0;
  // A colour that lets through what is behind it would be another one on each ground.
  colors["accent"] = (resolveColor(primary)?.alpha ?? 1) < 1 ? toHex(shown) : primary;
  colors["accent-text"] = textOn(shown);
  // Away from the text that stands on it, so that it can be read there, too.
  colors["accent-hover"] = toHex(over({ ...parseColor(colors["accent-text"] === "#ffffff" ? "#000" : "#fff")!, alpha: 0.14 }, shown));
  colors["accent-soft"] = `color-mix(in oklab, ${primary} ${8 + level * 4}%, ${colors["color-surface"]})`;
  colors["color-user"] = accent && level > 0 ? colors["accent-soft"] : (colors["color-hover"] ?? "");
  // Links and marks need contrast against the page, which a pale accent would not have.
  const grounds = ["color-surface", "color-surface-raised", "color-surface-sunken"].map((name) => groundOf(colors, name));
  const soft = over({ ...shown, alpha: level > 0 ? (8 + level * 4) / 100 : 0.08 }, ground);
  colors["link"] = accent ? readableOn(shown, grounds, [soft]) : (STATES[scheme]["color-info"] ?? "");
  return colors;
}

const warned = new Set<string>();

/** Whether a colour can be read; what is none has no effect, and is told once. */
function known(value: unknown, name: string): value is string {
  if (typeof value === "string" && !/[{};]/.test(value) && resolveColor(value) !== null) return true;
  const message = `<openai-chatkit>: ${name} is no colour of CSS and has no effect: ${String(value).slice(0, 100)}`;
  if (!warned.has(message)) console.warn(message);
  warned.add(message);
  return false;
}

function groundOf(colors: Variables, name: string): Color {
  const color = resolveColor(colors[name] ?? "");
  return color ? over(color, parseColor("#fff")!) : parseColor("#fff")!;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Black or white, whichever can be read on a colour; null where it is no colour. */
export function contrastOf(color: string): string | null {
  const read = resolveColor(color);
  return read && textOn(over(read, parseColor("#fff")!));
}

/** The text of a style sheet with the variables, under rules that pages can override by their own. */
export function sheetOf(variables: Variables, scheme: ColorScheme): string {
  const lines = Object.entries(variables)
    // A value with a brace would end the rule.
    .filter(([, value]) => !/[{};]/.test(value))
    .map(([name, value]) => `--ck-${name}: ${value};`);
  return `:host { color-scheme: ${scheme}; ${lines.join(" ")} }`;
}

const loaded = new Set<string>();

/** Makes the fonts known to the document; a shadow tree cannot bring fonts of its own. */
export function loadFonts(sources: readonly FontObject[] | undefined): void {
  for (const source of sources ?? []) {
    const key = JSON.stringify(source);
    if (loaded.has(key) || typeof FontFace === "undefined") continue;
    loaded.add(key);
    const descriptors: FontFaceDescriptors = {};
    if (source.weight !== undefined) descriptors.weight = String(source.weight);
    if (source.style !== undefined) descriptors.style = source.style;
    if (source.display !== undefined) descriptors.display = source.display;
    if (source.unicodeRange !== undefined) descriptors.unicodeRange = source.unicodeRange;
    try {
      document.fonts.add(new FontFace(source.family, `url(${JSON.stringify(source.src)})`, descriptors));
    } catch (error) {
      console.warn(`<openai-chatkit>: the font ${source.family} cannot be loaded.`, error);
    }
  }
}
