/** Contrast of what the theme and widgets colour, for every colour of CSS. */

import { describe, expect, it, vi } from "vitest";

import { contrast, luminance, over, parseColor, READABLE, textOn, toHex } from "../../src/theme/color";
import { variablesOf } from "../../src/theme/theme";
import { groundStyles } from "../../src/widgets/ground";
import { randomOf } from "../generate";

const NOTATIONS: Record<string, string> = {
  "#abc": "#aabbcc", "#AABBCC80": "#aabbcc", "rgb(255 221 0)": "#ffdd00", "rgba(255, 221, 0, .5)": "#ffdd00", "rgb(100%, 0%, 0%)": "#ff0000", "hsl(52, 100%, 50%)": "#ffdd00", "hsl(0.1444turn 100% 50% / 30%)": "#ffdd00",
  "hwb(52 0% 0%)": "#ffdd00", "RebeccaPurple": "#663399", "lab(50 0 0)": "#777777", "lch(50% 0 none)": "#777777", "oklab(0.5999 0 0)": "#808080", "oklch(62.8% 0.2577 29.23)": "#ff0000", "color(srgb 1 0.5 0)": "#ff8000",
  "color(display-p3 0 0 0)": "#000000", "color(xyz 0.9505 1 1.089)": "#ffffff", "hsl(-308deg 100 50)": "#ffdd00",
};
const NONE = ["", "reddish", "#12", "#ggg", "rgb(1 2)", "rgb(a b c)", "hsl(1, 2)", "url(x)", "color(bogus 1 1 1)", "rgb(1 2 3 / 4 / 5)", "var(--x)", "rgb(1,2,3,4,5)", "red;", "oklch(NaN 0 0)"];

const near = (hex: string, wanted: string): boolean => [1, 3, 5].every((at) => Math.abs(Number.parseInt(hex.slice(at, at + 2), 16) - Number.parseInt(wanted.slice(at, at + 2), 16)) <= 2);

function anyColor(random: (below: number) => number): string {
  const alpha = random(3) === 0 ? ` / ${random(101)}%` : "";
  const notations = [
    () => `#${random(0x1000000).toString(16).padStart(6, "0")}`,
    () => `rgb(${random(256)} ${random(256)} ${random(256)}${alpha})`,
    () => `hsl(${random(360)}deg ${random(101)}% ${random(101)}%${alpha})`,
    () => `hwb(${random(360)} ${random(101)}% ${random(101)}%${alpha})`,
    () => `oklch(${random(101)}% ${random(40) / 100} ${random(360)}${alpha})`,
    () => `lab(${random(101)} ${random(200) - 100} ${random(200) - 100}${alpha})`,
    () => `color(display-p3 ${random(101) / 100} ${random(101) / 100} ${random(101) / 100}${alpha})`,
    () => ["yellow", "gold", "navy", "tomato", "white", "black", "transparent", "lightyellow"][random(8)]!,
  ];
  return notations[random(notations.length)]!();
}

const schemes = ["light", "dark"] as const;
const of = (variables: Record<string, string>, name: string, scheme: "light" | "dark"): string => {
  const pair = /^light-dark\((.*)\)$/.exec(variables[name]!)?.[1];
  if (!pair) return variables[name]!;
  let depth = 0;
  const comma = [...pair].findIndex((sign) => {
    depth += sign === "(" ? 1 : sign === ")" ? -1 : 0;
    return sign === "," && depth === 0;
  });
  return (scheme === "light" ? pair.slice(0, comma) : pair.slice(comma + 1)).trim();
};

describe("colours", () => {
  it.each(Object.entries(NOTATIONS))("%s is read", (text, wanted) => {
    expect(near(toHex(parseColor(text)!), wanted), toHex(parseColor(text)!)).toBe(true);
  });

  it.each(NONE)("%j is none", (text) => {
    expect(parseColor(text)).toBeNull();
  });

  it("text on any colour can be read", () => {
    const random = randomOf(1);
    for (let count = 0; count < 5000; count += 1) {
      const ground = over(parseColor(anyColor(random))!, parseColor("#fff")!);
      expect(contrast(parseColor(textOn(ground))!, ground)).toBeGreaterThanOrEqual(READABLE);
    }
  });
});

describe("a theme", () => {
  it("has buttons and links that can be read, whatever the accent", () => {
    const random = randomOf(2);
    for (let count = 0; count < 400; count += 1) {
      const primary = anyColor(random);
      const surface = random(3) === 0 ? { surface: { background: anyColor(random).replace(/ \/ \d+%/, ""), foreground: "" } } : {};
      if (surface.surface) surface.surface.foreground = surface.surface.background;
      const colorScheme = schemes[random(2)]!;
      const variables = variablesOf({ colorScheme, color: { accent: { primary, level: random(4) as 0 }, ...surface } });
      for (const scheme of schemes) {
        const read = (name: string) => parseColor(of(variables, name, scheme))!;
        const told = `${primary} ${JSON.stringify(surface)} ${scheme}`;
        expect(contrast(read("accent-text"), over(read("accent"), parseColor("#fff")!)), `button ${told}`).toBeGreaterThanOrEqual(READABLE);
        expect(contrast(read("accent-text"), read("accent-hover")), `hover ${told}`).toBeGreaterThanOrEqual(READABLE);
        for (const name of ["color-surface", "color-surface-raised", "color-surface-sunken"]) {
          expect(contrast(read("link"), over(read(name), parseColor("#fff")!)), `link on ${name} ${told}`).toBeGreaterThanOrEqual(READABLE);
        }
      }
    }
  });

  it("keeps its own accent where the given one is no colour, and says so once", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    const plain = variablesOf({ color: { accent: { primary: "#18181b", level: 1 } } });
    for (let count = 0; count < 2; count += 1) {
      expect(of(variablesOf({ color: { accent: { primary: "reddish", level: 1 } } }), "accent", "light")).toBe(of(plain, "accent", "light"));
    }
    expect(warn).toHaveBeenCalledTimes(1);
    expect(warn.mock.calls[0]![0]).toContain("theme.color.accent.primary");
    warn.mockRestore();
  });
});

describe("backgrounds of widgets", () => {
  const steps = ["green-200", "yellow-100", "blue-900", "red-500", "orange-600", "gray-50", "teal-300", "success", "danger", "surface-tertiary", "alpha-80"];

  it("carry text that can be read, in light and dark", () => {
    const random = randomOf(3);
    const values: unknown[] = [...steps, ...Array.from({ length: 500 }, () => anyColor(random)), { light: "green-200", dark: "green-200" }, { light: "#fff", dark: "#000" }, { light: "navy", dark: "lightyellow" }];
    for (const value of values) {
      for (const scheme of schemes) {
        const { styles, scheme: inside } = groundStyles(value, scheme);
        const texts = styles["--ck-color-text"] ? [styles["--ck-color-text"]] : inside === "light" ? ["#18181b", "#5f6068"] : ["#ececf1", "#a9a9b4"];
        const shown = of({ x: styles["background-color"]! }, "x", scheme);
        const color = parseColor(shown);
        if (!color) continue;
        const ground = over(color, parseColor(scheme === "light" ? "#fff" : "#18181b")!);
        for (const text of texts) expect(contrast(parseColor(text)!, ground), `${JSON.stringify(value)} ${scheme}`).toBeGreaterThanOrEqual(READABLE);
      }
    }
  });

  it("change nothing where nothing is wrong", () => {
    expect(groundStyles("green-200", "light").styles["color-scheme"]).toBeUndefined();
    expect(groundStyles("green-200", "dark")).toMatchObject({ scheme: "light", styles: { "color-scheme": "light" } });
    expect(groundStyles(undefined, "dark")).toEqual({ styles: {}, scheme: "dark" });
    expect(luminance(parseColor("#fff")!)).toBeCloseTo(1);
  });
});
