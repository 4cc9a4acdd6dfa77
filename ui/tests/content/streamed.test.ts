/** What is shown of a text that streamed in is what is shown of it when it comes at once, wherever it was cut. */

import { afterEach, describe, expect, it } from "vitest";

import type { CkMarkdown } from "../../src/content/markdown";
import "../../src/content/markdown";
import { generateText, randomOf } from "../generate";
import { told } from "../told";

const CORPUS: Record<string, string> = {
  note: "See [^1] here.\n\nText.\n\n[^1]: The note.",
  "note first": "[^a]: First.\n    More *of it*.\n\n    - and\n    - that\n\nText[^a] and [^a], but [^b].\n",
  "notes in lists": "- one[^x]\n- two[^y]\n\n| a[^x] | b |\n|---|---|\n| c | [^z] |\n\n[^y]: Y with [^z].\n[^x]: X.\n[^z]: Z\n\n    ```js\n    1\n    ```\n\nend",
  "definition that is none": "A [x] b.\n\n[x]: foo bar baz",
  definition: "A [x] b [Y  z], [x][] and [t][x].\n\nAnother.\n\n[x]: https://example.com \"Title\"\n[y Z]: </a b>\n\nThe [x] end.",
  "definition over lines": "A [x].\n\nB\n\nC\n\n[x]:\nhttps://example.com\n'title\nmore'\n\nD [x]",
  "definition twice": "[x]\n\n[x]: https://one.example\n\nA\n\nB\n\n[x]: https://two.example\n\n[x]",
  "definition inside": "A [x]\n\nB\n\n> quoted [x]\n>\n> [x]: https://example.com\n\nC\n\nD",
  "definition with a strange label": "A [ẞ é\n b] and [a\\]b].\n\nB\n\n[SS É B]: https://a.example\n\n[a\\]b]: https://b.example\n",
  alerts: "> [!NOTE]\n> Some *note*.\n\n> [!WARNING] not one\n\n> [!Tip]\n> - a\n> - b\n>\n> > [!CAUTION]\n> > inner\n\nend",
  setext: "Heading\n=======\n\npara\n---\n\n- a\n---\nb\n***",
  lists: "- a\n\n- b\n1. c\n2. d\n\n   e\n* f\n\n\ng\n- [ ] h\n- [x] i\n+ j\n  1) k\n     > l",
  table: "a | b\n--|--\n1 | 2\n\n| x |\n|---|\n| `a|b` | **c** |\nno table\n\n|\n|-|\n",
  math: "\\(a\n\nopen \\(b\n\n- item \\(c\n- d\\)\n\n$$\nx\n= y\n$$\n\n> \\[z\n\n$5 and $6, $a$ \\[\nq\n\\]",
  html: "<details>\n<summary>S</summary>\n\nText *x*\n\n</details>\n\n<b>bold</b> <!-- c\n\nd --> e\n\n<div>\n- x\n</div>\n- y\n<frameset>\nz",
  code: "````md\n```\nx\n```\n````\n\n~~~\na\n\n\n    b\n~~~\n\n    indented\n\n- ```js\n  1\n  ```\n\n```\nopen\n\n",
  emphasis: "**a *b** c* __d _e_ f__ ~~g~ h~~ `i` ``j ` k`` *l\n\n**m\n\n`n\n\n***o*** p**q**r _s\\_t_",
  "a link that becomes one of another kind": "b[a]http://e\n\n[a]:[\n\nC [a] tel:1\n",
  links: "<https://a.example> www.b.example c@d.example https://e.example/(f)_g?h=1&amp;i ![j](k \"l\") [m](<n o>) [p](q\n\n[r](s(t)u) [v]w",
  carriage: "a\r\nb\r\n\r\n- c\r- d\r\n\re",
  direction: "مرحبا [^1]\n\n> [!NOTE]\n> ملاحظة\n\n[^1]: حاشية",
  unicode: "😀 **😀** [😀](x) \ud83d end &copy; &#x1F600; &bogus; &#0;",
};

afterEach(() => {
  document.body.replaceChildren();
});

function mount(): CkMarkdown {
  const view = document.createElement("ck-markdown");
  document.body.append(view);
  return view;
}

async function whole(text: string): Promise<string> {
  const view = mount();
  view.text = text;
  await view.updateComplete;
  return told(view);
}

async function streamed(text: string, ends: readonly number[]): Promise<string> {
  const view = mount();
  view.streaming = true;
  for (const end of ends) {
    view.text = text.slice(0, end);
    await view.updateComplete;
  }
  view.text = text;
  view.streaming = false;
  await view.updateComplete;
  return told(view);
}

describe("streamed and stored", () => {
  it.each(Object.keys(CORPUS))("one cut, at every place: %s", async (name) => {
    const text = CORPUS[name]!;
    const stored = await whole(text);
    for (let end = 1; end < text.length; end += 1) expect(await streamed(text, [end]), `cut at ${end}`).toBe(stored);
  });

  it.each(Object.keys(CORPUS))("letter by letter: %s", async (name) => {
    const text = CORPUS[name]!;
    expect(await streamed(text, Array.from(text, (_, place) => place + 1))).toBe(await whole(text));
  });

  it("all of it, one after the other", async () => {
    const text = Object.values(CORPUS).join("\n\n").repeat(4);
    const stored = await whole(text);
    for (const size of [7, 97, 1000]) {
      expect(await streamed(text, Array.from({ length: Math.floor(text.length / size) }, (_, place) => (place + 1) * size))).toBe(stored);
    }
  });

  it.each(Array.from({ length: 30 }, (_, seed) => seed))("generated text %i", async (seed) => {
    const random = randomOf(seed);
    const text = generateText(random, 50 + random(1500));
    const ends = Array.from({ length: 12 }, () => random(text.length)).toSorted((left, right) => left - right);
    expect(await streamed(text, ends), JSON.stringify(text)).toBe(await whole(text));
  });
});
