import { afterEach, expect, it } from "vitest";

import { BlockLexer } from "../../src/content/blocks";
import type { CkMarkdown } from "../../src/content/markdown";
import "../../src/content/markdown";

const many = (count: number, line: (number: number) => string): string => Array.from({ length: count }, (_, place) => line(place + 1)).join("");

const BLOCKS: Record<string, string> = {
  list: many(300, (number) => `- Item ${number} with **words**\n`),
  nested: many(150, (number) => `* Item ${number}\n  - inside ${number}\n\n    more of it\n`),
  numbers: many(200, (number) => `${number + 6}. Item ${number}\n`),
  tasks: many(200, (number) => `- [${number % 2 ? "x" : " "}] Item ${number}\n`),
  table: `| a | b |\n|---|--:|\n${many(300, (number) => `| Row ${number} | *${number}* \\| \`x\` |\n`)}`,
};

afterEach(() => {
  document.body.replaceChildren();
});

/** What is said, and in which elements, without what parts a large block into sections. */
function told(view: CkMarkdown): string[] {
  const parts = view.shadowRoot!.querySelectorAll("li, td, th, p");
  return [...parts].map((part) => `${part.nodeName} ${part.className} ${part.textContent}`);
}

async function streamed(text: string, size: number): Promise<CkMarkdown> {
  const view = document.createElement("ck-markdown");
  document.body.append(view);
  view.streaming = true;
  for (let end = size; end < text.length + size; end += size) {
    view.text = text.slice(0, end);
    await view.updateComplete;
  }
  view.streaming = false;
  await view.updateComplete;
  return view;
}

it.each(Object.keys(BLOCKS))("a large block that grows is in the end what it would be at once: %s", async (kind) => {
  const text = `Before it.\n\n${BLOCKS[kind]}\nAfter *it*.\n\n- another\n- list\n`;
  const whole = told(await streamed(text, text.length));
  expect(whole.length).toBeGreaterThan(150);
  for (const size of [61, 500, 3000]) expect(told(await streamed(text, size))).toEqual(whole);
});

it("numbers go on through all sections", async () => {
  const view = await streamed(BLOCKS["numbers"]!, 40);
  const lists = [...view.shadowRoot!.querySelectorAll("ol")];
  expect(lists.length).toBeGreaterThan(1);
  let next = 7;
  for (const list of lists) {
    expect(list.start).toBe(next);
    next += list.children.length;
  }
  expect(next).toBe(207);
});

it("keeps what is settled, and another text begins anew", async () => {
  const text = BLOCKS["list"]!;
  const view = await streamed(text, text.length / 10);
  const first = view.shadowRoot!.querySelector("li");
  view.streaming = true;
  view.text = `${text}- One more\n`;
  await view.updateComplete;
  expect(view.shadowRoot!.querySelector("li")).toBe(first);
  view.text = text.replace("Item 3 ", "Entry 3 ");
  await view.updateComplete;
  expect(view.shadowRoot!.querySelectorAll("li")[2]!.textContent).toBe("Entry 3 with words");
  expect(view.shadowRoot!.querySelectorAll("li")).toHaveLength(300);
});

it("citations in a large block put it together again", async () => {
  const text = BLOCKS["list"]!;
  const view = await streamed(text, 400);
  view.annotations = [{ index: text.indexOf(" with", 2000), source: { type: "url", title: "Source", url: "https://example.com/" } }];
  await view.updateComplete;
  expect(view.shadowRoot!.querySelectorAll("li")).toHaveLength(300);
  expect(view.shadowRoot!.querySelectorAll("ul")).toHaveLength(1);
  expect(view.shadowRoot!.querySelectorAll(".cite")).toHaveLength(1);
});

it("lexes of a large list only its end", () => {
  const lexer = new BlockLexer();
  let text = BLOCKS["list"]!;
  lexer.update(text, true);
  text += "- Item 301\n";
  const [block] = lexer.update(text, true).tail;
  expect(block!.settled).toBeGreaterThan(250);
  expect(block!.raw).toBe(text);
});
