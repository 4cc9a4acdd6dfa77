import { describe, expect, it } from "vitest";

import { BlockLexer, completeTable, mendTail } from "../src/content/blocks";
import { numberSources, placeCitations, settle, splitMarks, writeMarks } from "../src/content/citations";
import { matchBlockMath, matchInlineMath, nextMathStart } from "../src/content/math";
import { formatDuration, workflowTitle } from "../src/content/tasks";
import { defaultHost } from "../src/content/strings";
import { readImage, readLink } from "../src/content/urls";
import { isKnownIcon, lucideName } from "../src/content/icon";
import { loadingOf, nestValues, readAction, withValues } from "../src/widgets/actions";
import { isPlainColor, readColor, seriesColor } from "../src/widgets/colors";
import { addDays, addMonths, clampDay, monthGrid, readDay } from "../src/widgets/dates";
import { curvePath, niceTicks, stackValues } from "../src/widgets/scales";
import { blockStyles, boxStyles, readBorder, readLength, readSpacing } from "../src/widgets/sizes";

describe("blocks", () => {
  const text = "# A\n\npara one\n\n- x\n- y\n\npara two [r]\n\n```js\nlet a\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[r]: https://example.com\n\nend";

  it("cover the text in order, however it is cut", () => {
    for (const size of [1, 2, 5, 11, 1000]) {
      const lexer = new BlockLexer();
      let blocks = lexer.update("", true);
      for (let end = size; end < text.length + size; end += size) {
        blocks = lexer.update(text.slice(0, end), true);
        const all = [...blocks.stable, ...blocks.tail];
        all.forEach((block, place) => expect(block.index).toBe(place));
        const joined = all.map((block) => text.slice(0, end).slice(block.start, block.end)).join("").replace(/\s/g, "");
        expect(joined).toBe(text.slice(0, end).replace(/\s/g, ""));
      }
      const last = lexer.update(text, false);
      const types = [...last.stable, ...last.tail].map((block) => block.tokens[0]!.type);
      expect(types).toEqual(["heading", "paragraph", "list", "paragraph", "code", "table", "def", "paragraph"]);
    }
  });

  it("keep the very objects of what is stable", () => {
    const lexer = new BlockLexer();
    const first = lexer.update("one\n\ntwo\n\nthree\n\nfour", true).stable[0];
    expect(lexer.update("one\n\ntwo\n\nthree\n\nfour and more\n\nfive", true).stable[0]).toBe(first);
  });

  it("begin anew with another text", () => {
    const lexer = new BlockLexer();
    lexer.update("one\n\ntwo\n\nthree\n\nfour", true);
    const after = lexer.update("other", true);
    expect(after.unchanged).toBe(0);
    expect([...after.stable, ...after.tail].map((block) => block.raw)).toEqual(["other"]);
  });

  it("change a finished block once its link is defined", () => {
    const lexer = new BlockLexer();
    const start = "see [it][r]\n\nb\n\nc\n\nd\n\n";
    lexer.update(start, true);
    const after = lexer.update(`${start}[r]: https://example.com\n\nx`, true);
    expect(after.unchanged).toBe(0);
    expect(JSON.stringify(after.stable[0]!.tokens)).toContain('"link"');
  });

  it("let an open fence grow without lexing it again", () => {
    const lexer = new BlockLexer();
    lexer.update("```py\na\n", true);
    const grown = lexer.update("```py\na\nb ``` c\n", true);
    expect(grown.tail.at(-1)!.openCode).toBe("a\nb ``` c\n");
    const closed = lexer.update("```py\na\nb ``` c\n```\nafter", true);
    expect([...closed.stable, ...closed.tail].map((block) => block.openCode)).toEqual([null, null]);
  });

  it("mend what is open at the end", () => {
    expect(mendTail("a **bold")).toBe("a **bold**");
    expect(mendTail("a [link](https://exa")).toBe("a link");
    expect(completeTable("| a | b")).toBe("| a | b |\n| --- | --- |");
    expect(completeTable("| a | b |\n|--")).toBe("| a | b |\n| --- | --- |");
    expect(completeTable("no table")).toBe("no table");
  });
});

describe("formulas", () => {
  it.each([
    ["\\(a+b\\) x", "a+b", false],
    ["\\[a\\] x", "a", true],
    ["$$a$$ x", "a", true],
    ["$a^2$ x", "a^2", false],
    ["$2 \\times 3$.", "2 \\times 3", false],
    ["$x$, y", "x", false],
  ])("%s", (source, tex, display) => {
    expect(matchInlineMath(source, false)).toMatchObject({ tex, display, open: false });
  });

  it.each(["$5 and $10", "$5 to 10$ more", "$5-$10", "$1,000 and 3$", "$ a$", "$a $", "$HOME/$USER", "$5k people paid 6$", "$a\nb$", "$", "$5"])("%s is none", (source) => {
    expect(matchInlineMath(source, false)).toBeNull();
  });

  it("may begin after blanks and brackets, not in words", () => {
    expect(nextMathStart("US$5")).toBeUndefined();
    expect(nextMathStart("a ($x$)")).toBe(3);
  });

  it("stay open only while text streams in", () => {
    expect(matchBlockMath("$$\na", true)).toMatchObject({ open: true, tex: "\na" });
    expect(matchBlockMath("$$\na", false)).toBeNull();
    expect(matchInlineMath("\\(a", true)).toMatchObject({ open: true });
    expect(matchInlineMath("\\(a", false)).toBeNull();
  });
});

describe("citations", () => {
  const source = (url: string) => ({ type: "url", title: url, url }) as const;

  it("number each source once", () => {
    expect(numberSources([source("a"), source("b"), source("a")]).map((one) => one.number)).toEqual([1, 2]);
  });

  it("settle behind words and closing marks", () => {
    expect(settle("word  next", 6)).toBe(4);
    expect(settle("**bold** x", 6)).toBe(8);
    expect(settle("| a | b |\n", 9)).toBe(8);
    expect(settle("abc", 99)).toBe(3);
    expect(settle("abc", -1)).toBe(0);
  });

  it("survive the way through markdown", () => {
    const placed = placeCitations("ab cd", [{ source: source("x"), index: 2 }, { source: source("y"), index: 5 }]);
    expect(splitMarks(writeMarks("ab cd", 0, placed))).toEqual(["ab", 1, " cd", 2]);
  });
});

describe("addresses", () => {
  it.each(["javascript:alert(1)", " java\nscript:x", "data:text/html,x", "//evil.invalid", "https://a:b@c.de", "", "c:/x", "feed:x:y".replace("feed:", "blob:")])("%j is refused", (address) => {
    expect(readLink(address).kind).toBe("refused");
  });

  it("outside, deep", () => {
    expect(readLink("https://example.com/a b")).toMatchObject({ kind: "external" });
    expect(readLink("mailto:a@b.c")).toMatchObject({ kind: "external" });
    expect(readLink("/orders/42?tab=x")).toEqual({ kind: "deep", name: "orders/42", data: { tab: "x", url: "/orders/42?tab=x" } });
    expect(readLink("shop://orders/42")).toMatchObject({ kind: "deep", name: "orders/42" });
  });

  it("images only from where they may come", () => {
    const page = "http://127.0.0.1:8000/";
    expect(readImage("https://cdn.example.com/a.png", ["example.com"], page)).toBe("https://cdn.example.com/a.png");
    expect(readImage("https://badexample.com/a.png", ["example.com"], page)).toBeNull();
    expect(readImage("https://any.org/a.png", null, page)).toBe("https://any.org/a.png");
    expect(readImage("http://any.org/a.png", null, page)).toBeNull();
    expect(readImage("/files/a.png", [], page)).toBe("http://127.0.0.1:8000/files/a.png");
    expect(readImage("//any.org/a.png", [], page)).toBeNull();
    expect(readImage("data:image/png;base64,AA", null, page)).toBeNull();
  });
});

describe("words", () => {
  it("durations and titles", () => {
    expect(formatDuration(74, "en")).toBe("1 minute 14 seconds");
    expect(formatDuration(0, "de")).toBe("0 Sekunden");
    expect(workflowTitle({ type: "reasoning", tasks: [], summary: { duration: 3 } }, false, defaultHost)).toBe("Thought for 3 seconds");
    expect(workflowTitle({ type: "reasoning", tasks: [] }, true, defaultHost)).toBe("Thinking");
    expect(workflowTitle({ type: "custom", tasks: [{ type: "custom", title: "Counting" }] }, true, defaultHost)).toBe("Counting");
  });

  it("icons", () => {
    expect(isKnownIcon("sparkle-double")).toBe(true);
    expect(isKnownIcon("constructor")).toBe(false);
    expect(lucideName("lucide:arrow-up-0-1")).toBe("ArrowUp01");
    expect(lucideName("lucide:../x")).toBeNull();
  });
});

describe("actions", () => {
  it("have defaults", () => {
    const action = readAction({ type: "go" })!;
    expect(action).toEqual({ type: "go", handler: "server", loadingBehavior: "auto", streaming: true });
    expect(loadingOf(action, "Button")).toBe("self");
    expect(loadingOf(action, "Select")).toBe("none");
    expect(loadingOf(action, "Card.confirm")).toBe("container");
    expect(loadingOf(readAction({ type: "go", loadingBehavior: "none" })!, "Button")).toBe("none");
    expect(readAction(null)).toBeNull();
    expect(readAction({ payload: {} })).toBeNull();
  });

  it("carry nested values, never a prototype", () => {
    const values = nestValues([["todo.title", "x"], ["todo.done", true], ["plain", "y"], ["__proto__.bad", 1], ["a.constructor.b", 1]]);
    expect(values).toEqual({ todo: { title: "x", done: true }, plain: "y" });
    expect(withValues(readAction({ type: "go", payload: { id: 1, todo: { title: "old", keep: 1 } } })!, values).payload).toEqual({ id: 1, todo: { title: "x", done: true, keep: 1 }, plain: "y" });
    expect(({} as Record<string, unknown>)["bad"]).toBeUndefined();
  });
});

describe("colours and sizes", () => {
  it.each(["red", "#fff", "rgb(1 2 3 / 50%)", "linear-gradient(90deg, red, blue)", "hsl(1deg 2% 3%)"])("%s is plain", (value) => {
    expect(isPlainColor(value)).toBe(true);
  });

  it.each(["url(x)", "image-set('x' 1x)", "red;x:y", "var(--x)", "attr(x)", "\\75rl(x)", "linear-gradient(red), url(x)", "red/**/"])("%s is not", (value) => {
    expect(readColor(value, "surface")).toBeNull();
  });

  it("tokens, steps, pairs", () => {
    expect(readColor("secondary", "text")).toContain("--ck-color-muted");
    expect(readColor("blue-500", "surface")).toMatch(/^oklch\(/);
    expect(readColor("nothing-500", "surface")).toBeNull();
    expect(readColor({ light: "red", dark: "blue" }, "text")).toBe("light-dark(red, blue)");
    expect(readColor({ light: "url(x)", dark: "blue" }, "text")).toBe("blue");
    expect(seriesColor(null, 0)).not.toBe(seriesColor(null, 1));
  });

  it("lengths", () => {
    expect(readLength(3, "step")).toBe("calc(var(--ck-space, 4px) * 3)");
    expect(readLength(3, "pixel")).toBe("3px");
    expect(readLength("50%", "pixel")).toBe("50%");
    expect(readLength("1px; x: y", "pixel")).toBeNull();
    expect(readLength(Number.NaN, "pixel")).toBeNull();
    expect(readSpacing("padding", { x: 2, top: 1 })).toEqual({
      "padding-block-start": "calc(var(--ck-space, 4px) * 1)",
      "padding-inline-start": "calc(var(--ck-space, 4px) * 2)",
      "padding-inline-end": "calc(var(--ck-space, 4px) * 2)",
    });
    expect(readBorder({ size: 2, color: "red", style: "dashed" })).toEqual({ border: "2px dashed red" });
    expect(Object.keys(readBorder({ y: 1 }))).toEqual(["border-block-start", "border-block-end"]);
    expect(blockStyles({ size: 40, maxWidth: "50%", aspectRatio: "16/9" })).toMatchObject({ width: "40px", height: "40px", "max-width": "50%", "aspect-ratio": "16/9" });
    expect(boxStyles({ align: "between", justify: "between" })).toEqual({ "justify-content": "space-between" });
  });
});

describe("days", () => {
  it("count without zones", () => {
    expect(readDay("2026-03-29T23:30:00-05:00")).toBe("2026-03-29");
    expect(readDay("nonsense")).toBeNull();
    expect(readDay("2026-99-99")).toBeNull();
    expect(addDays("2026-02-28", 1)).toBe("2026-03-01");
    expect(addMonths("2026-01-31", 1)).toBe("2026-02-28");
    expect(clampDay("2026-01-01", "2026-01-05", null)).toBe("2026-01-05");
    const grid = monthGrid("2026-11-23", 1);
    expect(grid[0]![0]).toBe("2026-10-26");
    expect(grid.flat()).toHaveLength(42);
  });
});

describe("charts", () => {
  it("scale, stack and draw", () => {
    expect(niceTicks(0, 97, 5)).toEqual([0, 25, 50, 75, 100]);
    expect(niceTicks(0, 0)).toContain(0);
    expect(niceTicks(-12, 30, 5)[0]).toBeLessThanOrEqual(-12);
    const rows = [{ a: 1, b: 2, c: -1 }, { a: "3", b: null, c: "x" }];
    const stacked = stackValues([{ key: "a", stack: "s" }, { key: "b", stack: "s" }, { key: "c", stack: "s" }], rows);
    expect(stacked).toEqual([[[0, 1], [0, 3]], [[1, 3], null], [[0, -1], null]]);
    expect(curvePath([[0, 0], [10, 10]], "natural")).toBe("M0,0L10,10");
    expect(curvePath([[0, 0], [10, 10], [20, 0]], "stepAfter")).toBe("M0,0H10V10H10H20V0H20");
    expect(curvePath([], "linear")).toBe("");
  });
});
