/** Generated texts and widgets in a real browser: nothing thrown, no task that holds the page, streamed equals stored. */

import "../content";
import type { CkMarkdown } from "../content/markdown";
import "../widgets";
import { generateText, generateWidget, randomOf } from "../../tests/generate";
import { told } from "../../tests/told";
import { defaultHost } from "../content/strings";

interface Report {
  texts: number;
  widgets: number;
  letters: number;
  cuts: number;
  /** What was thrown, or differs; with the seed. */
  faults: string[];
  /** The longest tasks, in milliseconds. */
  longest: { milliseconds: number; seed: number; kind: string }[];
}

const report: Report = { texts: 0, widgets: 0, letters: 0, cuts: 0, faults: [], longest: [] };
let seed = 0;
let kind = "";
/** Comparing is work of this page's own, which would count among the tasks. */
let comparing = true;

/** Notes a fault, and says it at once: a run that is stopped has told what it found. */
function fault(what: string): void {
  const line = `${kind} ${seed}: ${what}`;
  report.faults.push(line);
  console.error(`fault: ${line}`);
}

addEventListener("error", (event) => fault(event.message));
addEventListener("unhandledrejection", (event) => fault(String(event.reason)));

/** A task of its own, as frames and network are. */
function task(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

const observer = new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) report.longest.push({ milliseconds: Math.round(duration), seed, kind });
  report.longest = report.longest.toSorted((left, right) => right.milliseconds - left.milliseconds).slice(0, 10);
});

const quiet = { ...defaultHost, onAction: () => Promise.resolve() };

function mount(): CkMarkdown {
  const view = document.createElement("ck-markdown");
  view.host = quiet;
  document.body.append(view);
  return view;
}

async function whole(text: string): Promise<string> {
  const view = mount();
  view.text = text;
  await view.updateComplete;
  await task();
  return comparing ? told(view) : "";
}

async function streamed(text: string, ends: readonly number[]): Promise<string> {
  const view = mount();
  view.streaming = true;
  for (const end of ends) {
    view.text = text.slice(0, end);
    await view.updateComplete;
    await task();
  }
  view.text = text;
  view.streaming = false;
  await view.updateComplete;
  await task();
  return comparing ? told(view) : "";
}

/** Comparing and taking away are the test's own work, which is no task of the page. */
async function clear(): Promise<void> {
  const before = [kind, seed] as const;
  await task();
  kind = "clearing";
  while (document.body.lastElementChild) {
    document.body.lastElementChild.remove();
    await task();
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
  [kind, seed] = before;
}

async function text(number: number, largest: number): Promise<void> {
  seed = number;
  const random = randomOf(number);
  const length = random(10) === 0 ? random(largest) : random(2_500);
  const source = generateText(random, 20 + length);
  report.texts += 1;
  report.letters += source.length;
  kind = "stored";
  const stored = await whole(source);
  await clear();
  kind = "streamed";
  const every = source.length < 120;
  const cuts = every ? Array.from({ length: source.length }, (_, place) => [place]) : [Array.from({ length: 16 }, () => random(source.length)).toSorted((left, right) => left - right)];
  for (const ends of cuts) {
    report.cuts += ends.length;
    const got = await streamed(source, ends);
    await clear();
    if (got === stored) continue;
    fault(`[${ends.join()}] of ${source.length}: ${difference(stored, got)}`);
    console.error(`fault: ${kind} ${seed}: smaller ${JSON.stringify(await smaller(source, ends))}`);
  }
}

async function differs(parts: readonly string[]): Promise<boolean> {
  const source = parts.join("");
  let end = 0;
  const got = await streamed(source, parts.slice(0, -1).map((part) => (end += part.length)));
  await clear();
  const stored = await whole(source);
  await clear();
  return got !== stored;
}

/** Returns the parts, as they streamed in, of a shorter text that differs too; what is found in some hundred tries. */
async function smaller(source: string, ends: readonly number[]): Promise<string[]> {
  let parts = [...ends, source.length].map((end, place) => source.slice(ends[place - 1] ?? 0, end));
  let tries = 0;
  for (let place = 0; place + 1 < parts.length && tries < 100; tries += 1) {
    const joined = [...parts.slice(0, place), parts[place]! + parts[place + 1]!, ...parts.slice(place + 2)];
    if (joined.length > 1 && (await differs(joined))) parts = joined;
    else place += 1;
  }
  for (let size = Math.max(...parts.map((part) => part.length)); size >= 1; size = Math.floor(size / 2)) {
    for (let place = 0; place < parts.length; place += 1) {
      for (let start = 0; start < parts[place]!.length && tries < 600; tries += 1) {
        const part = parts[place]!;
        const shorter = parts.with(place, part.slice(0, start) + part.slice(start + size));
        if (await differs(shorter)) parts = shorter;
        else start += size;
      }
    }
  }
  return parts;
}

function difference(wanted: string, got: string): string {
  let place = 0;
  while (wanted[place] === got[place]) place += 1;
  return JSON.stringify([wanted.slice(Math.max(0, place - 60), place + 100), got.slice(Math.max(0, place - 60), place + 100)]);
}

async function widget(number: number, largest: number): Promise<void> {
  seed = number;
  kind = "widget";
  const view = Object.assign(document.createElement("ck-widget"), { host: quiet });
  const random = randomOf(number);
  const made = generateWidget(random, largest);
  report.widgets += 1;
  view.widget = made;
  document.body.append(view);
  for (let count = 0; count < 12; count += 1) {
    await view.updateComplete;
    await task();
  }
  for (const button of view.shadowRoot!.querySelectorAll<HTMLElement>("ck-select .control, .fold, .more")) {
    button.click();
    await view.updateComplete;
    await task();
  }
  await clear();
}

/** Tries some of each, from a seed on. */
async function run(from: number, count: number, largest: number, compares: boolean): Promise<Report> {
  comparing = compares;
  observer.observe({ entryTypes: ["longtask"] });
  for (let number = from; number < from + count; number += 1) {
    if (number % 4 === 3) await widget(number, largest);
    else await text(number, largest);
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  report.longest = report.longest.filter((one) => one.kind !== "clearing");
  return report;
}

Object.assign(window, { fuzz: run });
