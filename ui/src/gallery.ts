/** A page with every view, for looking at them and for tests in a real browser; it is not shipped. */

import type { WidgetHost } from "./contracts";
import "./content";
import { translateDefault } from "./content/strings";
import { annotations, arabicSample, citedText, markdownSample, reasoning, running, widgets } from "./gallery/samples";
import "./widgets";

const query = new URLSearchParams(location.search);
const dark = query.get("scheme") === "dark";
const only = query.get("only");
const rtl = query.get("dir") === "rtl";

const log: unknown[] = [];

const host: WidgetHost = {
  translate: translateDefault,
  locale: rtl ? "ar" : "en",
  colorScheme: dark ? "dark" : "light",
  allowedImageDomains: ["example.com"],
  onDeepLink: (name, data) => log.push(["deep", name, data]) > 0,
  onLog: (name, data) => log.push(["log", name, data]),
  entities: { onClick: (entity) => log.push(["entity", entity]) },
  onAction: async (action, source) => {
    log.push(["action", action, source.itemId]);
    await new Promise((resolve) => setTimeout(resolve, action.type === "slow" ? 60_000 : 300));
    if (action.type.endsWith("fail")) throw new Error("refused");
  },
};
Object.assign(window, { gallery: { log, host, widgets } });

const violations: string[] = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`));

document.documentElement.dir = rtl ? "rtl" : "ltr";
const page = document.body;
for (const [name, value] of Object.entries({
  "color-scheme": dark ? "dark" : "light",
  background: dark ? "#18181b" : "#ffffff",
  margin: "0",
  padding: "24px",
  display: "grid",
  gap: "24px",
  "grid-template-columns": "repeat(auto-fill, minmax(min(100%, 560px), 1fr))",
  "align-items": "start",
})) {
  page.style.setProperty(name, value);
}

function add<Name extends keyof HTMLElementTagNameMap>(group: string, tag: Name, properties: Partial<HTMLElementTagNameMap[Name]>): void {
  if (only && only !== group) return;
  const view = document.createElement(tag);
  Object.assign(view, { host }, properties);
  view.id = `${group}-${page.childElementCount}`;
  page.append(view);
}

add("markdown", "ck-markdown", { text: rtl ? arabicSample : markdownSample });
add("cited", "ck-markdown", { text: citedText, annotations });
add("workflow", "ck-workflow", { workflow: reasoning });
add("workflow", "ck-workflow", { workflow: running, active: true });
add("workflow", "ck-workflow", { workflow: { type: "reasoning", tasks: [] }, active: true });
add("task", "ck-task", { task: { type: "web_search", title: "Searching", queries: ["one"], status_indicator: "loading" } });
add("image", "ck-generated-image", { image: null, active: true, progress: 0.4 });
for (const [name, widget] of Object.entries(widgets)) add(name, "ck-widget", { widget, itemId: `item_${name}` });

/** With `?check`, the page reports violations of its content security policy and what axe-core finds. */
async function check(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const { default: axe } = await import("axe-core");
  const before = [...violations];
  const { violations: found } = await axe.run(document, { rules: { region: { enabled: false }, "page-has-heading-one": { enabled: false }, "landmark-one-main": { enabled: false } } });
  const problems = found.flatMap((one) => one.nodes.map((node) => `${one.id}: ${JSON.stringify(node.target)} ${node.failureSummary?.split("\n")[1] ?? ""}`));
  const report = { contentSecurityPolicy: before, axe: problems.slice(0, 40) };
  document.title = before.length + problems.length === 0 ? "passed" : "failed";
  await fetch("report", { method: "POST", body: JSON.stringify({ title: document.title, report }) });
}

if (query.has("check")) void check();

const opened = query.get("open");
if (opened) {
  setTimeout(() => {
    for (const view of page.children) {
      const target = view.shadowRoot?.querySelector<HTMLElement>(opened);
      target?.click();
      target?.focus();
    }
  }, 500);
}
