/** Colours of CSS in numbers, so that what is written on them can be read: every notation, whatever page or browser. */

const NAMES =
  "aliceblue f0f8ff antiquewhite faebd7 aqua 00ffff aquamarine 7fffd4 azure f0ffff beige f5f5dc bisque ffe4c4 black 000000 blanchedalmond ffebcd blue " +
  "0000ff blueviolet 8a2be2 brown a52a2a burlywood deb887 cadetblue 5f9ea0 chartreuse 7fff00 chocolate d2691e coral ff7f50 cornflowerblue 6495ed cornsilk " +
  "fff8dc crimson dc143c cyan 00ffff darkblue 00008b darkcyan 008b8b darkgoldenrod b8860b darkgray a9a9a9 darkgreen 006400 darkgrey a9a9a9 darkkhaki " +
  "bdb76b darkmagenta 8b008b darkolivegreen 556b2f darkorange ff8c00 darkorchid 9932cc darkred 8b0000 darksalmon e9967a darkseagreen 8fbc8f darkslateblue " +
  "483d8b darkslategray 2f4f4f darkslategrey 2f4f4f darkturquoise 00ced1 darkviolet 9400d3 deeppink ff1493 deepskyblue 00bfff dimgray 696969 dimgrey " +
  "696969 dodgerblue 1e90ff firebrick b22222 floralwhite fffaf0 forestgreen 228b22 fuchsia ff00ff gainsboro dcdcdc ghostwhite f8f8ff gold ffd700 " +
  "goldenrod daa520 gray 808080 green 008000 greenyellow adff2f grey 808080 honeydew f0fff0 hotpink ff69b4 indianred cd5c5c indigo 4b0082 ivory fffff0 " +
  "khaki f0e68c lavender e6e6fa lavenderblush fff0f5 lawngreen 7cfc00 lemonchiffon fffacd lightblue add8e6 lightcoral f08080 lightcyan e0ffff " +
  "lightgoldenrodyellow fafad2 lightgray d3d3d3 lightgreen 90ee90 lightgrey d3d3d3 lightpink ffb6c1 lightsalmon ffa07a lightseagreen 20b2aa lightskyblue " +
  "87cefa lightslategray 778899 lightslategrey 778899 lightsteelblue b0c4de lightyellow ffffe0 lime 00ff00 limegreen 32cd32 linen faf0e6 magenta ff00ff " +
  "maroon 800000 mediumaquamarine 66cdaa mediumblue 0000cd mediumorchid ba55d3 mediumpurple 9370db mediumseagreen 3cb371 mediumslateblue 7b68ee " +
  "mediumspringgreen 00fa9a mediumturquoise 48d1cc mediumvioletred c71585 midnightblue 191970 mintcream f5fffa mistyrose ffe4e1 moccasin ffe4b5 " +
  "navajowhite ffdead navy 000080 oldlace fdf5e6 olive 808000 olivedrab 6b8e23 orange ffa500 orangered ff4500 orchid da70d6 palegoldenrod eee8aa " +
  "palegreen 98fb98 paleturquoise afeeee palevioletred db7093 papayawhip ffefd5 peachpuff ffdab9 peru cd853f pink ffc0cb plum dda0dd powderblue b0e0e6 " +
  "purple 800080 rebeccapurple 663399 red ff0000 rosybrown bc8f8f royalblue 4169e1 saddlebrown 8b4513 salmon fa8072 sandybrown f4a460 seagreen 2e8b57 " +
  "seashell fff5ee sienna a0522d silver c0c0c0 skyblue 87ceeb slateblue 6a5acd slategray 708090 slategrey 708090 snow fffafa springgreen 00ff7f steelblue " +
  "4682b4 tan d2b48c teal 008080 thistle d8bfd8 tomato ff6347 turquoise 40e0d0 violet ee82ee wheat f5deb3 white ffffff whitesmoke f5f5f5 yellow ffff00 " +
  "yellowgreen 9acd32 ";

/** Red, green and blue of sRGB from 0 to 1, and opacity. */
export interface Color {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
  readonly alpha: number;
}

type Triple = readonly [number, number, number];

let names: ReadonlyMap<string, string> | null = null;

function named(name: string): string | undefined {
  if (names === null) {
    const words = NAMES.trim().split(" ");
    names = new Map(words.flatMap((word, place) => (place % 2 === 0 ? [[word, words[place + 1]!] as const] : [])));
  }
  return names.get(name);
}

const clamp = (value: number, low = 0, high = 1): number => Math.min(high, Math.max(low, value));
const toLinear = (value: number): number => (Math.abs(value) <= 0.04045 ? value / 12.92 : Math.sign(value) * ((Math.abs(value) + 0.055) / 1.055) ** 2.4);
const fromLinear = (value: number): number => (Math.abs(value) <= 0.0031308 ? value * 12.92 : Math.sign(value) * (1.055 * Math.abs(value) ** (1 / 2.4) - 0.055));

function multiply(rows: readonly Triple[], [x, y, z]: Triple): Triple {
  return rows.map(([a, b, c]) => a * x + b * y + c * z) as unknown as Triple;
}

const XYZ_TO_SRGB: readonly Triple[] = [
  [3.2409699419, -1.5373831776, -0.4986107603],
  [-0.9692436363, 1.8759675015, 0.0415550574],
  [0.0556300797, -0.2039769589, 1.0569715142],
];
const P3_TO_XYZ: readonly Triple[] = [
  [0.4865709486, 0.2656676932, 0.1982172852],
  [0.2289745641, 0.6917385218, 0.0792869141],
  [0, 0.0451133819, 1.0439443689],
];
const D50_TO_D65: readonly Triple[] = [
  [0.9554734528, -0.0230985369, 0.0632593086],
  [-0.0283697069, 1.0099954580, 0.0210413990],
  [0.0123140016, -0.0205076964, 1.3303659366],
];

function ofXyz(xyz: Triple): Triple {
  return multiply(XYZ_TO_SRGB, xyz).map(fromLinear) as unknown as Triple;
}

function ofLab([l, a, b]: Triple): Triple {
  const y = (l + 16) / 116;
  const cube = (value: number): number => (value ** 3 > 216 / 24389 ? value ** 3 : (116 * value - 16) / (24389 / 27));
  const xyz: Triple = [0.9642956764 * cube(y + a / 500), l > 8 ? y ** 3 : l / (24389 / 27), 0.8251046025 * cube(y - b / 200)];
  return ofXyz(multiply(D50_TO_D65, xyz));
}

function ofOklab([l, a, b]: Triple): Triple {
  const long = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    fromLinear(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
    fromLinear(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
    fromLinear(-0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short),
  ];
}

function ofHue([hue, saturation, lightness]: Triple): Triple {
  const part = (offset: number): number => {
    const place = (offset + hue / 30) % 12;
    return lightness - saturation * Math.min(lightness, 1 - lightness) * Math.max(-1, Math.min(place - 3, 9 - place, 1));
  };
  return [part(0), part(8), part(4)];
}

function ofHwb([hue, white, black]: Triple): Triple {
  if (white + black >= 1) return [white / (white + black), white / (white + black), white / (white + black)];
  return ofHue([hue, 1, 0.5]).map((value) => value * (1 - white - black) + white) as unknown as Triple;
}

const polar = ([l, chroma, hue]: Triple): Triple => [l, Math.max(0, chroma) * Math.cos((hue * Math.PI) / 180), Math.max(0, chroma) * Math.sin((hue * Math.PI) / 180)];

const SPACES: Readonly<Record<string, (values: Triple) => Triple>> = {
  srgb: (values) => values,
  "srgb-linear": (values) => values.map(fromLinear) as unknown as Triple,
  "display-p3": (values) => ofXyz(multiply(P3_TO_XYZ, values.map(toLinear) as unknown as Triple)),
  xyz: ofXyz,
  "xyz-d65": ofXyz,
  "xyz-d50": (values) => ofXyz(multiply(D50_TO_D65, values)),
};

/** A number of CSS; a percentage is a part of `whole`. NaN where it is none. */
function number(text: string, whole: number): number {
  if (text === "none") return 0;
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(%?)$/.exec(text);
  return match ? Number(match[1]) * (match[2] ? whole / 100 : 1) : Number.NaN;
}

function degrees(text: string): number {
  if (text === "none") return 0;
  const match = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(deg|grad|rad|turn)?$/.exec(text);
  if (!match) return Number.NaN;
  const turns = Number(match[1]) * { deg: 1, grad: 0.9, rad: 180 / Math.PI, turn: 360 }[(match[2] ?? "deg") as "deg"];
  return ((turns % 360) + 360) % 360;
}

function colorOf([red, green, blue]: Triple, alpha: number): Color | null {
  const color = { red: clamp(red), green: clamp(green), blue: clamp(blue), alpha: clamp(alpha) };
  return Object.values(color).some(Number.isNaN) ? null : color;
}

function functional(name: string, body: string): Color | null {
  const [main = "", slash, extra] = body.split("/").map((part) => part.trim());
  if (extra !== undefined) return null;
  const parts = main.split(main.includes(",") ? /\s*,\s*/ : /\s+/);
  const space = name === "color" ? parts.shift() : undefined;
  const alpha = slash ?? (parts.length === 4 && main.includes(",") ? parts.pop()! : "1");
  if (parts.length !== 3) return null;
  const [a, b, c] = parts as [string, string, string];
  // Percentages of hsl and hwb may be written without their sign.
  const share = (text: string): number => clamp(number(text, 1) / (text.endsWith("%") ? 1 : 100));
  const read = (): Triple | null => {
    switch (name) {
      case "rgb":
      case "rgba":
        return [number(a, 255) / 255, number(b, 255) / 255, number(c, 255) / 255];
      case "hsl":
      case "hsla":
        return ofHue([degrees(a), share(b), share(c)]);
      case "hwb":
        return ofHwb([degrees(a), share(b), share(c)]);
      case "lab":
        return ofLab([clamp(number(a, 100), 0, 100), number(b, 125), number(c, 125)]);
      case "lch":
        return ofLab(polar([clamp(number(a, 100), 0, 100), number(b, 150), degrees(c)]));
      case "oklab":
        return ofOklab([clamp(number(a, 1)), number(b, 0.4), number(c, 0.4)]);
      case "oklch":
        return ofOklab(polar([clamp(number(a, 1)), number(b, 0.4), degrees(c)]));
      case "color": {
        const convert = space !== undefined && Object.hasOwn(SPACES, space) ? SPACES[space] : undefined;
        return convert ? convert([number(a, 1), number(b, 1), number(c, 1)]) : null;
      }
      default:
        return null;
    }
  };
  const triple = read();
  return triple && colorOf(triple, number(alpha, 1));
}

function hexadecimal(digits: string): Color | null {
  if (![3, 4, 6, 8].includes(digits.length)) return null;
  const full = digits.length < 6 ? [...digits].map((digit) => digit + digit).join("") : digits;
  const [red, green, blue, alpha = 1] = (full.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16) / 255);
  return colorOf([red!, green!, blue!], alpha);
}

/** Reads a colour of CSS; null where it is none, or depends on where it stands, as `var()` and `currentColor` do. */
export function parseColor(value: string): Color | null {
  const text = value.trim().toLowerCase();
  if (text.length > 200) return null;
  if (text === "transparent") return { red: 0, green: 0, blue: 0, alpha: 0 };
  const hex = /^#([\da-f]+)$/.exec(text)?.[1] ?? named(text);
  if (hex !== undefined) return hexadecimal(hex);
  const call = /^([a-z]+)\(([^()]*)\)$/.exec(text);
  return call ? functional(call[1]!, call[2]!) : null;
}

/** Reads a colour as `parseColor` does, and what only the browser knows, such as `color-mix()` and colours of the system. */
export function resolveColor(value: string): Color | null {
  const known = parseColor(value);
  if (known || typeof CSS === "undefined" || !globalThis.document?.documentElement || !CSS.supports?.("color", value)) return known;
  if (/currentcolor|inherit|initial|unset|revert|var\(|light-dark/i.test(value)) return null;
  const probe = document.createElement("span");
  probe.style.setProperty("color", value);
  probe.hidden = true;
  document.documentElement.append(probe);
  const computed = getComputedStyle(probe).color;
  probe.remove();
  return parseColor(computed);
}

/** What is seen of a colour on an opaque one. */
export function over(color: Color, ground: Color): Color {
  const mix = (one: number, other: number): number => one * color.alpha + other * (1 - color.alpha);
  return { red: mix(color.red, ground.red), green: mix(color.green, ground.green), blue: mix(color.blue, ground.blue), alpha: 1 };
}

/** Luminance of an opaque colour, from 0 to 1, as WCAG 2 defines it. */
export function luminance({ red, green, blue }: Color): number {
  return 0.2126 * toLinear(red) + 0.7152 * toLinear(green) + 0.0722 * toLinear(blue);
}

/** Contrast of two opaque colours, from 1 to 21, as WCAG 2 defines it. */
export function contrast(one: Color, other: Color): number {
  const [high, low] = [luminance(one), luminance(other)].toSorted((left, right) => right - left) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

/** The contrast that text needs. */
export const READABLE = 4.5;

const WHITE = parseColor("#fff")!;
const SOFT_BLACK = parseColor("#111")!;

/** Black or white, whichever can be read on an opaque colour: always with the contrast that text needs. */
export function textOn(ground: Color): string {
  if (contrast(WHITE, ground) >= READABLE) return "#ffffff";
  return contrast(SOFT_BLACK, ground) >= READABLE ? "#111111" : "#000000";
}

export function toHex({ red, green, blue }: Color): string {
  return `#${[red, green, blue].map((value) => Math.round(clamp(value) * 255).toString(16).padStart(2, "0")).join("")}`;
}

/** The colour, or the nearest one towards black or white that can be read on all the grounds, and on soft fills if it can be. */
export function readableOn(color: Color, grounds: readonly Color[], soft: readonly Color[] = []): string {
  const worst = (text: Color, all: readonly Color[]): number => Math.min(...all.map((ground) => contrast(text, ground)));
  const poles = [WHITE, parseColor("#000")!] as const;
  const last = worst(poles[0], grounds) >= worst(poles[1], grounds) ? poles[0] : poles[1];
  const steps = Array.from({ length: 26 }, (_, step) => parseColor(toHex(over({ ...last, alpha: step / 25 }, color)))!);
  // Text stands on soft fills of its own colour, too.
  const found =
    steps.find((mixed) => worst(mixed, [...grounds, ...soft, ...grounds.map((ground) => over({ ...mixed, alpha: 0.16 }, ground))]) >= READABLE) ??
    steps.find((mixed) => worst(mixed, grounds) >= READABLE);
  return toHex(found ?? last);
}
