/** Puts one hostile text into every field of every view, and looks for what should not be there. */

import type { WidgetHost } from "../src/contracts";
import "../src/content";
import { translateDefault } from "../src/content/strings";
import "../src/widgets";
import { componentNames } from "../src/widgets";

export const quietHost: WidgetHost = {
  translate: translateDefault,
  locale: "en",
  colorScheme: "light",
  allowedImageDomains: ["example.com"],
  onDeepLink: () => undefined,
  onLog: () => undefined,
  entities: { onClick: () => undefined },
  onAction: () => Promise.resolve(),
};

/** Text fields of components; each gets the payload in turn with all others. */
function component(type: string, x: string): Record<string, unknown> {
  const child = { type: "Text", value: x, color: x };
  const action = { type: x, payload: { [x]: x } };
  return {
    type,
    id: x,
    key: x,
    value: x,
    label: x,
    name: type === "Icon" ? x : `name ${x}`,
    src: x,
    alt: x,
    color: x,
    background: { light: x, dark: x },
    border: { size: 1, color: x, style: x },
    padding: { top: x, x },
    margin: x,
    width: x,
    height: x,
    radius: x,
    aspectRatio: x,
    flex: x,
    gap: x,
    align: x,
    size: x,
    variant: x,
    fieldName: x,
    placeholder: x,
    defaultValue: x,
    pattern: x,
    ariaLabel: x,
    iconStart: x,
    iconEnd: x,
    status: { text: x, icon: x, favicon: x },
    confirm: { label: x, action },
    cancel: { label: x, action },
    options: [{ value: x, label: x, description: x }],
    onClickAction: action,
    onChangeAction: action,
    data: [{ x, [x]: 3, a: 1 }, { x: `${x}2`, [x]: 4, a: 2 }],
    series: [{ type: "bar", dataKey: "a", label: x, color: x }, { type: "line", dataKey: x, label: x, color: { light: x, dark: x }, curveType: x }],
    xAxis: { dataKey: "x", labels: { [x]: x } },
    colSize: x,
    theme: x,
    children: type === "Table" ? [{ type: "Table.Row", header: true, children: [{ type: "Table.Cell", width: x, children: [child] }] }] : [child],
  };
}

/** All views that show text of models or users, with the payload in each of their fields. */
export function hostileViews(x: string): HTMLElement[] {
  const make = (tag: string, properties: Record<string, unknown>): HTMLElement => Object.assign(document.createElement(tag), { host: quietHost }, properties);
  const sources = [
    { type: "url", title: x, url: x, attribution: x, description: x, group: x, timestamp: x },
    { type: "file", title: x, filename: x, description: x },
    { type: "entity", id: x, title: x, icon: x, label: x, inline_label: x, interactive: true },
  ];
  const annotations = sources.map((source, place) => ({ type: "annotation", source, index: place * 3 }));
  const tasks = [
    { type: "custom", title: x, icon: x, content: x, status_indicator: "loading" },
    { type: "web_search", title: x, title_query: x, queries: [x], sources: [sources[0]] },
    { type: "thought", title: x, content: x },
    { type: "file", title: x, sources: [sources[1]] },
    { type: "image", title: x },
  ];
  const link = x.replace(/[()\n]/g, "");
  return [
    make("ck-markdown", { text: x, annotations }),
    make("ck-markdown", { text: x, streaming: true }),
    make("ck-markdown", { text: `Text ${x} text` }),
    make("ck-markdown", { text: `[link](${link}) ![image](${link}) <${link}>\n\n[ref]: ${link}\n\n[ref]` }),
    make("ck-markdown", { text: `\`\`\`${x.split("\n")[0]}\n${x}\n\`\`\`\n\n\`\`\`html\n${x}\n\`\`\`` }),
    make("ck-markdown", { text: `$$\n${x}\n$$\n\nand \\(${x}\\)` }),
    make("ck-markdown", { text: `| ${x} | b |\n|---|---|\n| ${x} | ${x} |` }),
    make("ck-sources", { sources, open: true }),
    make("ck-workflow", { workflow: { type: "custom", expanded: true, summary: { title: x, icon: x }, tasks } }),
    make("ck-generated-image", { image: { id: x, url: x } }),
    make("ck-generated-image", { image: { id: x, url: x }, active: true, progress: 0.5 }),
    ...componentNames.map((type) => make("ck-widget", { itemId: x, widget: type === "Card" || type === "Basic" || type === "ListView" ? component(type, x) : { type: "Card", children: [component(type, x)] } })),
    make("ck-widget", { widget: { type: "Card", children: [{ type: x, children: [{ type: "Text", value: "y", editable: { name: x, placeholder: x, pattern: x } }] }] } }),
    make("ck-widget", { widget: x }),
  ];
}

const FORBIDDEN = new Set("SCRIPT IFRAME OBJECT EMBED BASE META LINK STYLE TEMPLATE PORTAL FRAME APPLET AUDIO VIDEO SOURCE FOREIGNOBJECT ANIMATE SET USE".split(" "));
const ADDRESSES = new Set(["href", "src", "xlink:href", "action", "formaction", "data", "srcset", "poster", "background"]);

/** Every element below, through shadow roots. */
export function* everyElement(root: ParentNode): Generator<Element> {
  for (const element of root.querySelectorAll("*")) {
    yield element;
    if (element.shadowRoot) yield* everyElement(element.shadowRoot);
  }
}

/** Says what is wrong with what was rendered; an empty list where nothing is. */
export function findDanger(root: ParentNode): string[] {
  const found: string[] = [];
  for (const element of everyElement(root)) {
    const name = element.nodeName.toUpperCase();
    const own = element.closest("ck-icon, ck-chart") !== null;
    if (FORBIDDEN.has(name) && !own) found.push(`element ${name}`);
    for (const { name: attribute, value } of element.attributes) {
      if (attribute.startsWith("on")) found.push(`${name} ${attribute}`);
      if (ADDRESSES.has(attribute) && !/^(?:https?:|mailto:)/.test(value)) found.push(`${name} ${attribute}=${value}`);
      if (attribute === "src" && !/^https:\/\/(?:[\w-]+\.)*example\.com\//.test(value)) found.push(`${name} loads ${value}`);
    }
    const style = (element as HTMLElement).style?.cssText ?? "";
    if (/url\(|image-set|expression|javascript:/i.test(style)) found.push(`${name} style ${style}`);
  }
  return found;
}
