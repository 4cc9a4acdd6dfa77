/** What the gallery shows. */

import type { Annotation } from "../content/citations";
import type { Workflow } from "../content/tasks";

export const markdownSample = `# Shipping a release

A short **overview** with *emphasis*, ~~mistakes~~, \`inline code\`, a [link](https://example.com/docs "Docs") and a [page of the app](/orders/42).

## Steps

1. Prepare the change log
   - collect merged work
   - check the \`CHANGELOG.md\`
2. Build and test
3. Publish

- [x] Version bumped
- [ ] Notes written

> Releases should be boring. If they are exciting, something is missing from the pipeline.

\`\`\`python
from chatkit import ChatKitServer

class Assistant(ChatKitServer):
    """Answers with a greeting."""

    async def respond(self, thread, item, context):
        count = 3  # how often
        for number in range(count):
            yield f"Hello {number}!"
\`\`\`

| Region | Revenue | Growth | Remark |
|:-------|--------:|:------:|--------|
| Europe | 1,204.50 | +12 % | steady |
| Americas | 980.00 | +4 % | seasonal |
| Asia | 2,310.75 | +31 % | new office in Osaka |

### Mathematics

Euler found that \\(e^{i\\pi} + 1 = 0\\), and $a^2 + b^2 = c^2$ is older still, at a price of $5 to $10.

$$
\\int_{-\\infty}^{\\infty} e^{-x^2}\\,dx = \\sqrt{\\pi} \\qquad \\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}
$$

<details><summary>More</summary>Press <kbd>Ctrl</kbd> and <kbd>K</kbd>.</details>

---

\`\`\`
plain text without a language
\`\`\`
`;

export const arabicSample = `## خطوات النشر

هذا نص **عربي** مع \`code\` و[رابط](https://example.com).

1. إعداد سجل التغييرات
2. البناء والاختبار

- عنصر أول
- عنصر ثان

> الإصدارات يجب أن تكون مملة.

| المنطقة | الإيرادات |
|---|---:|
| أوروبا | 1204 |
| آسيا | 2310 |

المعادلة \\(a^2 + b^2\\) وسعر $5.
`;

export const citedText =
  "The Eiffel Tower is 330 metres tall. It was completed in 1889 for the World's Fair. Around seven million people visit it each year, and it is repainted about every seven years.";

export const annotations: Annotation[] = [
  {
    index: 36,
    source: { type: "url", title: "Eiffel Tower: key figures", url: "https://www.toureiffel.paris/en/the-monument/key-figures", attribution: "toureiffel.paris", description: "Height, weight, materials and visitor numbers of the tower.", timestamp: "2026-03-04" },
  },
  { index: 83, source: { type: "file", title: "History of the tower", filename: "history.pdf", description: "Chapter 3" } },
  { index: 131, source: { type: "url", title: "Visitors of monuments in Paris", url: "https://example.org/visitors" } },
  { index: citedText.length, source: { type: "entity", id: "ent_1", title: "Maintenance plan", inline_label: "Maintenance plan", icon: "suitcase", interactive: true, label: "Plan" } },
];

export const reasoning: Workflow = {
  type: "reasoning",
  expanded: true,
  summary: { duration: 74 },
  tasks: [
    { type: "thought", title: "Reading the question", content: "The user wants a **comparison**. I need current figures for both towers." },
    { type: "web_search", title: "Looking for figures", status_indicator: "complete", queries: ["eiffel tower height", "tokyo tower height"], sources: [{ type: "url", title: "Eiffel Tower", url: "https://www.toureiffel.paris/" }, { type: "url", title: "Tokyo Tower", url: "https://en.tokyotower.co.jp/" }] },
    { type: "file", status_indicator: "complete", sources: [{ type: "file", title: "towers.csv", filename: "towers.csv" }] },
    { type: "thought", content: "Tokyo Tower is 332.9 m, three metres taller." },
  ],
};

export const running: Workflow = {
  type: "custom",
  tasks: [
    { type: "custom", title: "Loaded the invoice", icon: "document", status_indicator: "complete" },
    { type: "custom", title: "Checked the totals", status_indicator: "complete", content: "All 12 lines add up." },
    { type: "image", title: "Drawing the chart", status_indicator: "loading" },
  ],
};

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun"];
const sales = months.map((month, place) => ({ month, web: 120 + place * 31, shop: 90 + ((place * 53) % 70), partners: 40 + ((place * 29) % 45) }));

const action = (type: string, payload: Record<string, unknown> = {}, extra: Record<string, unknown> = {}): Record<string, unknown> => ({ type, payload, ...extra });

export const widgets: Record<string, Record<string, unknown>> = {
  email: {
    type: "Card",
    size: "md",
    asForm: true,
    status: { text: "Draft", icon: "mail" },
    confirm: { label: "Send email", action: action("email.send", { id: 7 }) },
    cancel: { label: "Discard", action: action("email.discard") },
    children: [
      { type: "Row", children: [{ type: "Caption", value: "To" }, { type: "Text", value: "zoe@example.com", size: "sm" }, { type: "Spacer" }, { type: "Badge", label: "New", color: "info", pill: true }] },
      { type: "Divider", flush: true },
      { type: "Text", value: "Quarterly report", weight: "semibold", size: "lg", editable: { name: "email.subject", required: true, placeholder: "Subject" } },
      { type: "Text", value: "Hi Zoe,\n\nhere are the numbers of the last quarter. Growth was steady, and the new office is doing well.", minLines: 5, editable: { name: "email.body", required: true, placeholder: "Message" } },
    ],
  },
  list: {
    type: "ListView",
    limit: 3,
    status: { text: "5 flights found", icon: "compass" },
    children: ["Paris", "Tokyo", "Nairobi", "Lima", "Oslo"].map((city, place) => ({
      type: "ListViewItem",
      key: city,
      onClickAction: action("flight.select", { city }),
      children: [
        { type: "Box", background: place % 2 ? "orange-100" : "blue-100", radius: "md", size: 40, align: "center", justify: "center", children: [{ type: "Icon", name: "map-pin", color: place % 2 ? "orange-700" : "blue-700" }] },
        { type: "Col", flex: 1, children: [{ type: "Text", value: city, weight: "medium" }, { type: "Caption", value: `Departs 0${place + 6}:40 · non-stop` }] },
        { type: "Text", value: `€${240 + place * 35}`, weight: "semibold" },
      ],
    })),
  },
  form: {
    type: "Card",
    size: "md",
    children: [
      { type: "Title", value: "Plan a trip" },
      { type: "Caption", value: "Every control, in one form." },
      {
        type: "Form",
        onSubmitAction: action("trip.plan"),
        children: [
          { type: "Label", value: "Name", fieldName: "trip.name" },
          { type: "Input", name: "trip.name", required: true, placeholder: "Summer in the north" },
          { type: "Row", gap: 3, children: [
            { type: "Col", flex: 1, gap: 1, children: [{ type: "Label", value: "Class", fieldName: "class" }, { type: "Select", name: "class", block: true, clearable: true, defaultValue: "eco", options: [{ value: "eco", label: "Economy", description: "One bag" }, { value: "biz", label: "Business" }, { value: "first", label: "First", disabled: true }] }] },
            { type: "Col", flex: 1, gap: 1, children: [{ type: "Label", value: "Day", fieldName: "day" }, { type: "DatePicker", name: "day", block: true, defaultValue: "2026-11-27", min: "2026-11-20", clearable: true }] },
          ] },
          { type: "Label", value: "Wishes", fieldName: "wishes" },
          { type: "Textarea", name: "wishes", rows: 3, placeholder: "A quiet room", autoResize: true },
          { type: "RadioGroup", name: "seat", ariaLabel: "Seat", defaultValue: "window", options: [{ label: "Window", value: "window" }, { label: "Aisle", value: "aisle" }, { label: "Middle", value: "middle", disabled: true }] },
          { type: "Checkbox", name: "insured", label: "Travel insurance", defaultChecked: true },
          { type: "Row", justify: "end", children: [{ type: "Button", label: "Reset", variant: "ghost", onClickAction: action("trip.reset") }, { type: "Button", label: "Plan it", style: "primary", submit: true, iconEnd: "chevron-right" }] },
        ],
      },
    ],
  },
  charts: {
    type: "Card",
    size: "lg",
    children: [
      { type: "Row", children: [{ type: "Col", children: [{ type: "Title", value: "€2,148", size: "xl" }, { type: "Caption", value: "Sales by channel" }] }, { type: "Spacer" }, { type: "Badge", label: "+18 %", color: "success", variant: "soft", size: "md" }] },
      { type: "Chart", data: sales, xAxis: "month", showYAxis: true, height: 200, series: [{ type: "bar", dataKey: "web", label: "Web", stack: "all" }, { type: "bar", dataKey: "shop", label: "Shop", stack: "all" }, { type: "bar", dataKey: "partners", label: "Partners", stack: "all" }] },
      { type: "Chart", data: sales, xAxis: { dataKey: "month" }, showYAxis: true, height: 170, series: [{ type: "area", dataKey: "web", label: "Web", color: "teal" }, { type: "line", dataKey: "shop", label: "Shop", color: { light: "#c2410c", dark: "#fdba74" } }] },
      { type: "Chart", data: sales.slice(0, 4), xAxis: "month", height: 150, showLegend: false, series: [{ type: "bar", dataKey: "web", label: "Web", color: "purple" }, { type: "bar", dataKey: "shop", label: "Shop", color: "pink" }] },
    ],
  },
  buttons: {
    type: "Card",
    size: "lg",
    children: [
      { type: "Row", wrap: "wrap", children: ["primary", "secondary", "info", "discovery", "success", "caution", "warning", "danger"].map((color) => ({ type: "Button", label: color, color, variant: "solid" })) },
      { type: "Row", wrap: "wrap", children: ["primary", "secondary", "info", "discovery", "success", "warning", "danger"].map((color) => ({ type: "Button", label: color, color, variant: "soft", pill: true })) },
      { type: "Row", wrap: "wrap", children: ["solid", "soft", "outline", "ghost"].map((variant) => ({ type: "Button", label: variant, color: "primary", variant, iconStart: "sparkle" })) },
      { type: "Row", wrap: "wrap", align: "center", children: ["3xs", "2xs", "xs", "sm", "md", "lg", "xl", "2xl", "3xl"].map((size) => ({ type: "Button", label: size, size, color: "secondary", variant: "soft" })) },
      { type: "Row", children: [{ type: "Button", iconStart: "plus", uniform: true, variant: "outline" }, { type: "Button", label: "Disabled", style: "primary", disabled: true }, { type: "Button", label: "Slow", style: "primary", onClickAction: action("slow") }] },
      { type: "Button", label: "Block", block: true, style: "primary", iconStart: "check" },
      { type: "Row", wrap: "wrap", children: ["secondary", "success", "danger", "warning", "info", "discovery"].flatMap((color) => ["solid", "soft", "outline"].map((variant) => ({ type: "Badge", label: `${color}`, color, variant }))) },
      { type: "Row", wrap: "wrap", children: ["agent", "analytics", "atom", "bolt", "bug", "calendar", "chart", "check-circle-filled", "confetti", "cube", "globe", "keys", "lab", "star-filled", "wreath", "lucide:rocket", "vendor:nothing"].map((name) => ({ type: "Icon", name, size: "lg" })) },
    ],
  },
  table: {
    type: "Card",
    size: "lg",
    border: { size: 2, color: "strong", style: "dashed" },
    children: [
      { type: "Title", value: "Orders", size: "sm" },
      {
        type: "Table",
        children: [
          { type: "Table.Row", header: true, children: ["Order", "State", "Total"].map((value, place) => ({ type: "Table.Cell", align: place === 2 ? "end" : "start", children: [{ type: "Text", value, size: "sm" }] })) },
          ...["Lamp", "Desk", "Chair"].map((value, place) => ({
            type: "Table.Row",
            children: [
              { type: "Table.Cell", children: [{ type: "Text", value, size: "sm" }, { type: "Caption", value: `#10${place}`, size: "sm" }] },
              { type: "Table.Cell", children: [{ type: "Badge", label: ["paid", "open", "late"][place], color: ["success", "secondary", "danger"][place] }] },
              { type: "Table.Cell", align: "end", children: [{ type: "Text", value: `€${(place + 1) * 79}.00`, size: "sm" }] },
            ],
          })),
        ],
      },
    ],
  },
  weather: {
    type: "Card",
    size: "sm",
    theme: "dark",
    background: "linear-gradient(135deg, #1b5fae 0%, #2f86d8 60%, #5db0f5 100%)",
    children: [
      { type: "Row", children: [{ type: "Col", children: [{ type: "Text", value: "Lisbon", color: "white" }, { type: "Title", value: "21°", size: "4xl", color: "white" }] }, { type: "Spacer" }, { type: "Icon", name: "lucide:cloud-sun", size: "3xl", color: "white" }] },
      { type: "Text", value: "Partly cloudy, a light breeze from the west until the evening and warmer tomorrow", size: "sm", color: "white", maxLines: 2 },
    ],
  },
  texts: {
    type: "Basic",
    gap: 2,
    children: [
      { type: "Title", value: "Texts", size: "lg" },
      { type: "Text", value: "Secondary and struck", color: "secondary", lineThrough: true },
      { type: "Text", value: "A long line that will be cut off at the end because it is told to be truncated and has no room at all to go on", truncate: true },
      { type: "Text", value: "Streaming text", streaming: true, italic: true },
      { type: "Markdown", value: "Markdown with **bold**, `code` and\n\n- a list\n- of two" },
      { type: "Image", src: "https://images.invalid/x.png", alt: "An image that is refused", height: 60, frame: true },
      { type: "Transition", children: { type: "Text", value: "In a transition", color: { light: "#7c2d92", dark: "#e2a8f5" } } },
      { type: "Nonsense", children: [{ type: "Text", value: "Inside an unknown component" }] },
    ],
  },
  collapsed: {
    type: "Card",
    size: "sm",
    collapsed: true,
    status: { text: "Email sent", icon: "check-circle" },
    children: [{ type: "Text", value: "Hi Zoe, here are the numbers of the last quarter. Growth was steady, and the new office is doing well. More in the report that is attached to this message." }],
  },
};
