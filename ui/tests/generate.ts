/** Texts as models write them, as they should not, and as nobody does; the same for the same seed. */

export type Random = (below: number) => number;

/** A source of whole numbers below a bound (mulberry32). */
export function randomOf(seed: number): Random {
  let state = (seed * 0x9e3779b1) >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const INLINE = [
  "word", "two words", "**bold**", "*em*", "_em_", "`code`", "[link](https://example.com/a)", "![img](https://example.com/a.png)", "[ref]", "[ref][other]", "[^1]", "[^note]", "\\(x^2\\)", "$a$", "$5", "~~del~~",
  "<b>", "</b>", "<br>", "&amp;", "https://example.com/x?y=1", "a@b.example", "**", "*", "_", "`", "[", "](", "\\", "|", "<", "!", "$$", "مرحبا", "😀", "  \n", "\\\n",
];
const BLOCKS = [
  "# Heading\n", "## Other ##\n", "Text\n===\n", "---\n", "- item\n", "- [ ] task\n", "* star\n", "1. one\n", "2) two\n", "  - nested\n", "    deep\n", "> quote\n", "> > inner\n", "> [!NOTE]\n> alert\n",
  "```js\nlet a = 1;\n```\n", "```\nopen\n", "~~~\n", "| a | b |\n|---|:-:|\n| 1 | 2 |\n", "| row | 3 |\n", "a | b\n", "--|--\n", "$$\nx = y\n$$\n", "\\[\nz\n", "<div>\n", "</div>\n", "<details>\n<summary>s</summary>\n", "<frameset>\n", "<!--\n", "-->\n", "<svg><title>\n",
  "[ref]: https://example.com\n", "[ref]: foo bar\n", "[other]:\nhttps://example.com 'title'\n", "[^1]: note\n", "[^note]: long\n    more\n\n    - in it\n", "\n", "\n\n", " \n", "\t\n",
];
const RUNS = ["*", "_", "`", "[", "]", "(", "<", ">", "|", "#", "$", "~", "\\", "&", "!", "-", "+", "=", "a", " ", "\n", "<b>", "> ", "- ", "1. ", "![", "[a](", "*a ", "_a", "`a`", "$a$ ", "\\(", "&lt;", "<!--", "http://a", "www.a.", "a@", "<div>", "<a ", "| ", "|-", "```\n", "- a\n", "> a\n", "[^a]", "[a]: b\n", "\u202e", "😀", "\u0301"];

/** Text of about a length: blocks of all kinds, inline marks that fit or not, now and then a run of one mark. */
export function generateText(random: Random, length: number): string {
  const pick = <Value>(values: readonly Value[]): Value => values[random(values.length)]!;
  const only = random(4) === 0 ? [pick(RUNS), pick(RUNS)] : null;
  let text = "";
  while (text.length < length) {
    const kind = random(20);
    if (only && kind < 15) text += pick(only).repeat(1 + random(Math.max(2, length / 8)));
    else if (kind < 10) text += `${pick(INLINE)}${random(3) > 0 ? " " : ""}`;
    else if (kind < 17) text += `${random(2) > 0 ? "\n" : ""}${pick(BLOCKS)}`;
    else if (kind < 19) text += "\n\n";
    else text += pick(RUNS).repeat(1 + random(Math.min(200, length / 4)));
  }
  return text.slice(0, length);
}

const TYPES = "Badge Basic Box Button Caption Card Chart Checkbox Col DatePicker Divider Form Icon Image Input Label ListView ListViewItem Markdown RadioGroup Row Select Spacer Table Text Textarea Title Transition Hologram".split(" ");

/** A widget of about a number of letters: many entries, deep ones, long texts, fields of the wrong type. */
export function generateWidget(random: Random, largest: number): unknown {
  let left = random(5) === 0 ? largest : random(Math.min(largest, 6_000));
  const odd = (): unknown => [null, 1e308, -1, "", true, [], {}, "x".repeat(300), "red", "green-200", "https://elsewhere.example/x.png", "(a+)+$", "9999-12-31"][random(13)];
  const many = (): number => (random(6) === 0 ? 1 + Math.floor(left / 30) : 1 + random(6));
  const list = <Value>(make: (place: number) => Value): Value[] => {
    const made: Value[] = [];
    for (let count = many(), place = 0; place < count && left > 0; place += 1) made.push(make(place));
    return made;
  };
  const option = (place: number): unknown => {
    left -= 25;
    return { value: `v${place}`, label: `Option ${place}` };
  };
  const row = (place: number): unknown => {
    left -= 25;
    return { x: `row ${place}`, a: random(1000) - 300, b: random(100) };
  };
  const node = (depth: number): unknown => {
    left -= 30;
    const type = TYPES[random(TYPES.length)]!;
    const text = random(12) === 0 ? generateText(random, random(Math.max(1, left))) : "Some words";
    left -= text.length;
    const made: Record<string, unknown> = { type, value: text, label: "Label", name: `n${random(9)}`, fieldName: `n${random(9)}`, defaultValue: "v1", pattern: "[a-z]+", background: ["green-200", "#123", undefined][random(3)] };
    if (type === "Select" || type === "RadioGroup") made["options"] = list(option);
    if (type === "Chart") Object.assign(made, { data: list(row), series: [{ type: "bar", dataKey: "a" }, { type: "area", dataKey: "b" }], xAxis: "x" });
    if (type === "Table") made["children"] = list(() => ({ type: "Table.Row", children: [0, 1, 2].map(() => ({ type: "Table.Cell", children: [node(depth + 1)] })) }));
    else if (depth < 8 || (random(3) > 0 && depth < 3_000)) made["children"] = random(3) === 0 ? [] : list(() => node(depth + 1));
    if (random(4) === 0) made[["value", "children", "options", "data", "series", "name", "size", "padding", "background", "defaultValue", "pattern"][random(11)]!] = odd();
    return made;
  };
  const root = node(0) as Record<string, unknown>;
  return { ...root, type: ["Card", "ListView", "Basic"][random(3)], children: [root, ...list(() => node(1))] };
}
