import { describe, expect, test } from "vitest";
import { contentOf, queryAt, segments, textOf } from "../../src/controllers/mentions";
import { ageOf } from "../../src/controllers/history";
import { isAccepted, maxSizeOf, mediaTypeOf } from "../../src/controllers/files";
import { checkOptions, unknownKeys, withoutNulls } from "../../src/element/options";
import type { TagContent } from "../../src/protocol/wire";
import { contrastOf, schemeOf, sheetOf, variablesOf } from "../../src/theme/theme";
import { ar } from "../../src/strings/ar";
import { de } from "../../src/strings/de";
import { en } from "../../src/strings/en";
import { contentStrings } from "../../src/content/strings";
import { contentAr, contentDe } from "../../src/strings/content";
import { format, isRightToLeft, validLocale } from "../../src/strings";

const tag = (id: string, text: string): TagContent => ({ type: "input_tag", id, text, data: {} });

describe("mentions", () => {
  const tags = [tag("1", "Ada"), tag("2", "Ada Lovelace")];

  test("the longest name is read", () => {
    expect(segments("ask @Ada Lovelace or @Ada.", tags).map((part) => part.tag?.id ?? part.text)).toEqual(["ask ", "2", " or ", "1", "."]);
  });
  test("content and text are each other's reverse", () => {
    const content = contentOf("hi @Ada, bye", tags);
    expect(content).toEqual([{ type: "input_text", text: "hi " }, tags[0], { type: "input_text", text: ", bye" }]);
    expect(textOf(content)).toEqual({ text: "hi @Ada, bye", tags: [tags[0]] });
  });
  test("a name that was changed is text", () => {
    expect(contentOf("hi @Ad", tags)).toEqual([{ type: "input_text", text: "hi @Ad" }]);
  });
  test.each([
    ["@", 1, "@", ""],
    ["hi @lo", 6, "@", "lo"],
    ["hi @lo more", 6, "@", "lo"],
    ["/re", 3, "/", "re"],
  ] as const)("%s asks", (text, caret, sign, query) => {
    expect(queryAt(text, caret, [])).toMatchObject({ sign, text: query });
  });
  test.each(["mail@example", "hi /no", "a", "@Ada "])("%s asks nothing", (text) => {
    expect(queryAt(text, text.length, tags)).toBeNull();
  });
});

describe("options", () => {
  test("unknown keys are found, one level deep", () => {
    expect(unknownKeys({ api: { url: "", domainKey: "", secret: 1 }, colour: 1, header: { enabled: true } })).toEqual(["api.secret", "colour"]);
  });
  test.each([undefined, {}, { api: {} }, { api: { url: 1 } }, { api: { getClientSecret: "s" } }, { api: { getClientSecret: null } }, { api: { url: 1, getClientSecret: () => "" } }])("%o cannot work", (options) => {
    expect(() => checkOptions(options)).toThrow(TypeError);
  });
  test.each([{ url: "/chatkit" }, { getClientSecret: () => "" }, { getClientSecret: () => "", url: "/chatkit" }, { getClientSecret: () => "", url: null }, { getClientSecret: null, url: "/chatkit" }])("api %o can", (api) => {
    expect(() => checkOptions({ api })).not.toThrow();
  });
  test("null is as good as nothing", () => {
    const onClick = () => undefined;
    expect(withoutNulls({ theme: null, initialThread: null, header: { title: null, leftAction: { icon: "menu", onClick } }, list: [null] })).toEqual({
      header: { leftAction: { icon: "menu", onClick } },
      list: [null],
    });
  });
  test("sizes go by the closest type", () => {
    const sizes = { "image/png": 1, "image/*": 2, "*": 3 };
    expect([maxSizeOf(sizes, "image/png"), maxSizeOf(sizes, "image/gif"), maxSizeOf(sizes, "text/plain"), maxSizeOf(9, "text/plain"), maxSizeOf(undefined, "")]).toEqual([1, 2, 3, 9, 104_857_600]);
  });
  test.each([
    ["photo.PNG", "image/png", true],
    ["photo.gif", "image/gif", false],
    ["notes.md", "", true],
    ["notes.txt", "text/plain", false],
  ])("%s of type %s: %s", (name, type, accepted) => {
    expect(isAccepted({ "image/png": [".png"], "text/markdown": [".md"] }, { name, type })).toBe(accepted);
  });
  test.each([
    [{ "text/csv": [".csv"] }, "a.csv", "application/vnd.ms-excel", "text/csv"],
    [{ "text/csv": [".csv"] }, "A.CSV", "", "text/csv"],
    [{ "text/markdown": [".md"], "application/json": [".json"] }, "a.md", "", "text/markdown"],
    [{ "text/markdown": [".md"], "application/json": [".json"] }, "a.json", "", "application/json"],
    [{ "text/*": [".md"] }, "a.md", "", ""],
    [{ "text/*": [".md"], "text/markdown": [".md"] }, "a.md", "", "text/markdown"],
    [{ "application/vnd.ms-excel": [".xls", ".csv"] }, "a.csv", "application/vnd.ms-excel", "application/vnd.ms-excel"],
    [{ "image/*": [] }, "a.png", "image/png", "image/png"],
    [{ "*/*": [], "text/csv": [".csv"] }, "a.csv", "application/vnd.ms-excel", "application/vnd.ms-excel"],
    [undefined, "a.md", "", ""],
  ])("with %o, %s of type %o is uploaded as %o", (accept, name, type, expected) => {
    expect(mediaTypeOf(accept, { name, type })).toBe(expected);
  });
});

describe("theme", () => {
  test("an option becomes variables", () => {
    const variables = variablesOf({ radius: "sharp", density: "compact", typography: { baseSize: 14, fontFamily: "Inter" }, color: { accent: { primary: "#ffdd00", level: 1 } } });
    expect(variables).toMatchObject({ radius: "0px", density: "0.8", "font-size": "14px", accent: "#ffdd00", "accent-text": "#111111" });
    expect(variables["font"]).toMatch(/^Inter, /);
  });
  test("no value can end its rule", () => {
    const sheet = sheetOf(variablesOf({ typography: { fontFamily: "x} * { display: none" } }), "light");
    expect(sheet).not.toContain("display: none");
  });
  test("the scheme is light unless it is dark", () => {
    expect([schemeOf(undefined), schemeOf("dark"), schemeOf({ colorScheme: "dark" }), schemeOf({})]).toEqual(["light", "dark", "dark", "light"]);
  });
  test("text on the accent can be read", () => {
    expect([contrastOf("#000"), contrastOf("#ffffff"), contrastOf("red"), contrastOf("reddish")]).toEqual(["#ffffff", "#111111", "#111111", null]);
  });
});

describe("strings", () => {
  const slots = (text: string): string[] => (text.match(/\{\w+\}/g) ?? []).toSorted();
  test.each(Object.entries({ de, ar }))("%s has the slots of English", (_, table) => {
    for (const [key, text] of Object.entries(en)) expect([key, slots((table as Record<string, string>)[key] ?? "")]).toEqual([key, slots(text)]);
  });
  test.each(Object.entries({ contentDe, contentAr }))("%s has the keys and slots of English", (_, table) => {
    for (const [key, text] of Object.entries(contentStrings)) expect([key, slots(table[key] ?? "missing {}")]).toEqual([key, slots(text)]);
    expect(Object.keys(table).toSorted()).toEqual(Object.keys(contentStrings).toSorted());
  });
  test("arguments are filled in, others stay", () => {
    expect(format({ a: "{x} of {y}" }, "a", { x: 1 })).toBe("1 of {y}");
  });
  test("the direction follows the language", () => {
    expect([isRightToLeft("ar-EG"), isRightToLeft("he"), isRightToLeft("de-DE")]).toEqual([true, true, false]);
  });
  test("a locale that is none is English", () => {
    expect([validLocale("de-DE"), validLocale("not a locale")]).toEqual(["de-DE", "en"]);
  });
});

test("threads are as old as the reader's days", () => {
  const now = new Date(2026, 10, 23, 9);
  const age = (day: number, hour: number): string => ageOf(new Date(2026, 10, day, hour).toISOString(), now);
  expect([age(23, 1), age(22, 23), age(18, 12), age(1, 12)]).toEqual(["today", "yesterday", "week", "earlier"]);
});
