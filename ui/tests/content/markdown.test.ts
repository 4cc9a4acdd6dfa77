import { afterEach, describe, expect, it } from "vitest";

import type { CkMarkdown } from "../../src/content/markdown";
import "../../src/content/markdown";

function mount(): CkMarkdown {
  const view = document.createElement("ck-markdown");
  document.body.append(view);
  return view;
}

async function show(text: string, streaming = false): Promise<ShadowRoot> {
  const view = mount();
  view.text = text;
  view.streaming = streaming;
  await view.updateComplete;
  return view.shadowRoot!;
}

const SAMPLE = [
  "# Heading\n\nA paragraph with **bold**, *italic*, `code` and [a link](https://example.com \"title\").\n\n",
  "- one\n- two\n  - nested\n- three\n\n1. first\n2. second\n\n> quoted\n> text\n\n",
  "| a | b |\n|:--|--:|\n| 1 | 2 |\n| 3 | 4 |\n\n",
  "```python\nprint('hello')\n\nprint('again')\n```\n\n- [x] done\n- [ ] open\n\n",
  "Inline \\(a^2\\) and block:\n\n$$\n\\frac{1}{2}\n$$\n\nCosts $5 or $10.\n\n---\n\nThe end.",
].join("");

afterEach(() => {
  document.body.replaceChildren();
});

describe("ck-markdown", () => {
  it("builds the elements of GitHub's markdown", async () => {
    const root = await show(SAMPLE);
    const of = (selector: string): number => root.querySelectorAll(selector).length;
    expect(of("h1")).toBe(1);
    expect(of("p strong")).toBe(1);
    expect(of("li ul li")).toBe(1);
    expect(of("th[scope=col]")).toBe(2);
    expect(of("td.align-right")).toBe(2);
    expect(of("figure.code pre code")).toBe(1);
    expect(of("li.task input[disabled]")).toBe(2);
    expect(of(".math")).toBe(2);
    expect(root.querySelector("a")?.getAttribute("rel")).toBe("noopener noreferrer nofollow");
    expect(root.querySelector("a")?.getAttribute("target")).toBe("_blank");
    expect(root.textContent).toContain("Costs $5 or $10.");
  });

  it("shows the same at the end, however the text was cut", async () => {
    const whole = (await show(SAMPLE)).querySelector(".root")!;
    for (const size of [1, 3, 7, 50]) {
      const view = mount();
      view.streaming = true;
      for (let end = size; end < SAMPLE.length + size; end += size) {
        view.text = SAMPLE.slice(0, end);
        await view.updateComplete;
      }
      view.streaming = false;
      await view.updateComplete;
      const root = view.shadowRoot!.querySelector(".root")!;
      // Formulas are rendered, and code is highlighted, when the library of each has been loaded.
      const settled = (of: Element): Element => {
        const copy = of.cloneNode(true) as Element;
        for (const formula of copy.querySelectorAll(".math")) formula.textContent = "formula";
        for (const code of copy.querySelectorAll("code")) code.textContent = code.textContent;
        return copy;
      };
      expect(settled(root).textContent).toBe(settled(whole).textContent);
      const tags = (root: Element): string[] => [...settled(root).querySelectorAll("*")].map((one) => one.tagName);
      expect(tags(root)).toEqual(tags(whole));
    }
  });

  it("never touches a finished block again", async () => {
    const view = mount();
    view.streaming = true;
    view.text = "x";
    await view.updateComplete;
    const root = view.shadowRoot!.querySelector(".root")!;
    let touched = 0;
    let seen = 0;
    const observer = new MutationObserver((records) => {
      for (const record of records) {
        seen += 1;
        const node = record.target as Node;
        const element = node instanceof Element ? node : node.parentElement;
        const block = element?.closest(".block");
        if (!block) continue;
        const blocks = [...root.querySelectorAll(".block")];
        const place = blocks.indexOf(block);
        if (place >= 0 && place < blocks.length - 3) touched += 1;
      }
    });
    observer.observe(root, { childList: true, characterData: true, subtree: true, attributes: true });
    const text = Array.from({ length: 40 }, (_, place) => `Paragraph ${place} with **bold** words and \`code\`.\n\n- item a\n- item b\n\n`).join("");
    for (let end = 1; end <= text.length; end += 5) {
      view.text = text.slice(0, end);
      await view.updateComplete;
    }
    await Promise.resolve();
    observer.disconnect();
    expect(seen).toBeGreaterThan(100);
    expect(touched).toBe(0);
  });

  it("puts chips where annotations point, and lists the sources once the text is complete", async () => {
    const view = mount();
    view.text = "The sky is blue. Water is **wet**.\n\n```py\nx\n```";
    const url = { type: "url", title: "Sky", url: "https://sky.example/a" } as const;
    const file = { type: "file", title: "Water", filename: "water.pdf" } as const;
    view.annotations = [
      { source: url, index: 15 },
      { source: file, index: 31 },
      { source: url, index: 49 },
    ];
    await view.updateComplete;
    const chips = [...view.shadowRoot!.querySelectorAll<HTMLElement>(".cite")];
    expect(chips.map((chip) => chip.textContent)).toEqual(["1", "2", "1"]);
    expect(chips[0]!.previousSibling?.textContent).toBe("The sky is blue");
    expect(view.shadowRoot!.querySelector("strong")?.textContent).toBe("wet");
    expect(view.shadowRoot!.querySelector("code")?.textContent).toBe("x");
    expect(view.shadowRoot!.querySelector("ck-sources")).not.toBeNull();
    view.streaming = true;
    await view.updateComplete;
    expect(view.shadowRoot!.querySelector("ck-sources")).toBeNull();
  });
});
