/** Turns the option `theme` into CSS variables. */

import type { ChatKitOptions, ColorScheme, FontObject, ThemeOption } from "@openai/chatkit";

export type Variables = Record<string, string>;

const RADII: Record<string, [small: string, medium: string, large: string, control: string]> = {
  pill: ["8px", "14px", "22px", "999px"],
  round: ["8px", "12px", "18px", "12px"],
  soft: ["5px", "8px", "10px", "8px"],
  sharp: ["0px", "0px", "0px", "0px"],
};
const DENSITIES: Record<string, string> = { compact: "0.8", normal: "1", spacious: "1.25" };
const SANS = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif';
const MONO = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace';

/** Lightness of each colour, from 0 to 1, in both schemes. */
const LIGHTNESS: Record<ColorScheme, Record<string, number>> = {
  light: { bg: 1, surface: 0.975, "surface-2": 0.95, "surface-3": 0.915, border: 0.905, "border-strong": 0.8, text: 0.21, "text-muted": 0.48, "text-faint": 0.54 },
  dark: { bg: 0.2, surface: 0.245, "surface-2": 0.285, "surface-3": 0.34, border: 0.33, "border-strong": 0.46, text: 0.955, "text-muted": 0.755, "text-faint": 0.7 },
};
const STATES: Record<ColorScheme, Variables> = {
  light: { danger: "#b42318", warning: "#935f00", success: "#067647", info: "#175cd3", discovery: "#6938c4" },
  dark: { danger: "#ff8f85", warning: "#f7c04a", success: "#5dd39b", info: "#84b6ff", discovery: "#c0a4ff" },
};

export function schemeOf(theme: ChatKitOptions["theme"]): ColorScheme {
  const scheme = typeof theme === "object" ? theme.colorScheme : theme;
  return scheme === "dark" ? "dark" : "light";
}

/** Returns the variables of a theme, without their prefix `--ck-`. */
export function variablesOf(option: ChatKitOptions["theme"]): Variables {
  const scheme = schemeOf(option);
  const theme: ThemeOption = typeof option === "object" ? option : {};
  const [small, medium, large, control] = RADII[theme.radius ?? "pill"] ?? RADII["pill"]!;
  const variables: Variables = {
    "radius-sm": small,
    "radius-md": medium,
    "radius-lg": large,
    "radius-control": control,
    density: DENSITIES[theme.density ?? "normal"] ?? "1",
    "font-size": `${theme.typography?.baseSize ?? 16}px`,
    font: theme.typography?.fontFamily ? `${theme.typography.fontFamily}, ${SANS}` : SANS,
    "font-mono": theme.typography?.fontFamilyMono ? `${theme.typography.fontFamilyMono}, ${MONO}` : MONO,
    ...STATES[scheme],
  };
  const { hue = 260, tint = 0, shade = 0 } = theme.color?.grayscale ?? {};
  const chroma = Math.min(Math.max(tint, 0), 9) * 0.004;
  for (const [name, base] of Object.entries(LIGHTNESS[scheme])) {
    // Shade moves what is behind the text, never the text: its contrast has to stay.
    const moved = name.startsWith("text") ? base : Math.min(1, Math.max(0, base + (scheme === "dark" ? shade * 0.02 : -Math.max(0, shade) * 0.012)));
    variables[name] = `oklch(${round(moved)} ${round(moved === 1 ? 0 : chroma)} ${hue})`;
  }
  const { surface, accent } = theme.color ?? {};
  if (surface) {
    variables["bg"] = surface.background;
    variables["surface"] = surface.foreground;
    variables["surface-2"] = `color-mix(in oklab, ${surface.foreground} 93%, ${variables["text"]})`;
    variables["surface-3"] = `color-mix(in oklab, ${surface.foreground} 87%, ${variables["text"]})`;
  }
  variables["accent"] = accent?.primary ?? (scheme === "dark" ? "#f2f2f3" : "#18181b");
  const on = contrastOf(variables["accent"]);
  variables["on-accent"] = on ?? (scheme === "dark" ? "#18181b" : "#ffffff");
  const level = accent ? (accent.level ?? 0) : 0;
  variables["accent-soft"] = `color-mix(in oklab, ${variables["accent"]} ${8 + level * 4}%, ${variables["bg"]})`;
  variables["user-bg"] = accent && level > 0 ? variables["accent-soft"] : (variables["surface-2"] ?? "");
  // Links and marks need contrast against the page, which a pale accent would not have.
  variables["link"] = accent ? `color-mix(in oklab, ${variables["accent"]} 82%, ${variables["text"]})` : (STATES[scheme]["info"] ?? "");
  return variables;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Black or white, whichever is easier to read on a colour; null where the colour is not written as hex. */
export function contrastOf(color: string): string | null {
  const match = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(color.trim());
  const digits = match?.[1];
  if (!digits) return null;
  const full = digits.length === 3 ? [...digits].map((digit) => digit + digit).join("") : digits;
  const [r = 0, g = 0, b = 0] = [0, 2, 4].map((at) => {
    const value = Number.parseInt(full.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 ? "#ffffff" : "#111111";
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
    document.fonts.add(new FontFace(source.family, `url(${JSON.stringify(source.src)})`, descriptors));
  }
}
