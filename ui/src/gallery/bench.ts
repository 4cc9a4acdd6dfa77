/** Measures what a delta costs in a real browser, layout included, early and late in a long answer. */

import "../content";
import { markdownSample } from "./samples";

const CHUNK = 24;
const ROUNDS = 150;

/** Median time, in milliseconds, of appending one delta to an answer of about `size` characters. */
const layout: number[] = [];

async function measure(size: number): Promise<number> {
  const view = document.createElement("ck-markdown");
  document.body.replaceChildren(view);
  const whole = markdownSample.repeat(Math.ceil((size + CHUNK * ROUNDS * 2) / markdownSample.length));
  // The same place within the sample, so that both sizes append the same text.
  const start = Math.floor(size / markdownSample.length) * markdownSample.length;
  view.streaming = true;
  view.text = whole.slice(0, start);
  await view.updateComplete;
  await new Promise((resolve) => setTimeout(resolve, 500));
  const times: number[] = [];
  layout.length = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    const text = whole.slice(0, start + round * CHUNK);
    const before = performance.now();
    view.text = text;
    await view.updateComplete;
    const updated = performance.now();
    void view.offsetHeight;
    layout.push(performance.now() - updated);
    times.push(performance.now() - before);
  }
  return times.toSorted((left, right) => left - right).slice(15, -15).reduce((sum, time) => sum + time, 0) / (ROUNDS - 30);
}

async function run(): Promise<void> {
  await measure(5_000);
  const small = [];
  let [layoutSmall, layoutLarge] = [0, 0];
  const large = [];
  for (let round = 0; round < 3; round += 1) {
    small.push(await measure(20_000));
    layoutSmall = layout.reduce((a, b) => a + b) / layout.length;
    large.push(await measure(200_000));
    layoutLarge = layout.reduce((a, b) => a + b) / layout.length;
  }
  const [at20, at200] = [Math.min(...small), Math.min(...large)];
  const report = { millisecondsAt20KB: at20, millisecondsAt200KB: at200, ratio: at200 / at20, layoutSmall, layoutLarge };
  document.body.replaceChildren(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(report, null, 1) }));
  document.title = report.ratio <= 1.5 ? "passed" : "failed";
  await fetch("report", { method: "POST", body: JSON.stringify({ title: document.title, report }) });
}

void run();
