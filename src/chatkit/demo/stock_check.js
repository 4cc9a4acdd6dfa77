/**
 * Drives an <openai-chatkit> element by its public options, methods and events, and compares what it tells with the
 * requests that the server has seen. Nothing here looks inside of the element.
 */
const settings = JSON.parse(document.getElementById("settings").textContent);
const STATE = "chatkit.stock-check";
const ANSWER_SECONDS = 30;
const NAMES = [
  "ready", "error", "effect", "deeplink", "response.start", "response.end", "history.open", "history.close",
  "thread.change", "thread.load.start", "thread.load.end", "tool.change", "log",
];

const told = [];
const calls = [];
const state = JSON.parse(sessionStorage.getItem(STATE)) ?? { next: -1, threadId: null, rows: [], errors: [] };
let chat = null;

class Failed extends Error {}

function save() {
  sessionStorage.setItem(STATE, JSON.stringify(state));
}

// The server.

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(path, { ...options, headers: { "Content-Type": "application/json", "X-Stock-Check": "1" } });
  if (!answer.ok) throw new Failed(`${path} answered ${answer.status}`);
  return answer.json();
}

const own = (type, params) => ask("/chatkit", { type, params });
const hold = (held) => ask("/stock-check/hold", { held });

async function mark() {
  return { told: told.length, seen: (await ask("/stock-check/seen")).entries.length };
}

/** Waits until something holds; a step that nobody can press is given up by its button. */
async function until(what, holds, { seconds = ANSWER_SECONDS, hand = null } = {}) {
  const end = performance.now() + seconds * 1000;
  while (true) {
    const found = await holds();
    if (found) return found;
    if (hand?.given_up) throw new Failed(`given up: ${what}`);
    if (hand === null && performance.now() > end) throw new Failed(`not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}

/** Returns a request that arrived after a mark, once there is one. */
function request(types, since, { holds = () => true, what = types.join(" or "), hand = null } = {}) {
  return until(`the server gets ${what}`, async () => {
    const { entries } = await ask("/stock-check/seen");
    return entries.slice(since.seen).find((entry) => types.includes(entry.type) && holds(entry));
  }, { hand });
}

function ended(entry) {
  return until(`the answer to ${entry.type} ends`, async () => {
    const { entries } = await ask("/stock-check/seen");
    const now = entries[entry.number];
    return now.ended && now;
  });
}

async function whole(entry) {
  const now = await ended(entry);
  if (now.status !== 200) throw new Failed(`${now.type} was answered with ${now.status}`);
  if (now.ended !== "whole") throw new Failed(`the element closed the answer to ${now.type} before its end`);
  return now;
}

// The element.

function event(name, since, holds = () => true) {
  return until(`the event chatkit.${name}`, () =>
    told.slice(since.told).find((entry) => entry.name === name && holds(entry.detail)));
}

function unsaid(name, since) {
  if (told.slice(since.told).some((entry) => entry.name === name)) throw new Failed(`chatkit.${name} came too early`);
}

/** Sends a message into the thread and waits until its answer is whole, on both sides. */
async function say(text) {
  const since = await mark();
  await chat.sendUserMessage({ text });
  const entry = await request(["threads.add_user_message"], since);
  await whole(entry);
  await event("response.end", since);
  return since;
}

async function item(type) {
  const { data } = await own("items.list", { thread_id: state.threadId, limit: 50, order: "desc" });
  const found = data.find((entry) => entry.type === type);
  if (!found) throw new Failed(`the thread has no ${type}`);
  return found;
}

// The person.

const now = document.getElementById("now");

function show(text, ...buttons) {
  now.className = buttons.length ? "hand" : "";
  const line = document.createElement("p");
  line.textContent = text;
  now.replaceChildren(line, ...buttons);
}

function button(label, first, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.className = first ? "first" : "";
  made.addEventListener("click", act, { once: true });
  return made;
}

/** Asks the person to press something in the chat; what that does is seen by the server. */
function hand(text) {
  const asked = { given_up: false };
  show(text, button("I cannot do this", false, () => (asked.given_up = true)));
  return asked;
}

function answer(text) {
  return new Promise((resolve) => {
    show(text, button("Yes", true, () => resolve(true)), button("No", false, () => resolve(false)));
  });
}

// The steps. Each returns what was seen, or throws.

function load() {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = settings.script;
    script.async = true;
    script.onload = resolve;
    script.onerror = () => reject(new Failed(`the script cannot be loaded from ${settings.script}`));
    document.head.append(script);
  });
}

async function start() {
  const since = { told: told.length };
  await load();
  const known = customElements.whenDefined("openai-chatkit").then(() => (start.defined = true));
  await until("the script defines openai-chatkit", () => start.defined);
  await known;
  chat = document.createElement("openai-chatkit");
  for (const name of NAMES)
    chat.addEventListener(`chatkit.${name}`, ({ detail }) => {
      told.push({ name, detail: detail ?? {} });
      if (name === "error") state.errors.push(String(detail?.error?.message ?? detail?.error));
    });
  chat.setOptions({
    api: {
      url: new URL("/chatkit", location.href).href,
      domainKey: settings.domainKey,
      uploadStrategy: { type: "two_phase" },
    },
    initialThread: state.threadId,
    history: { enabled: true },
    threadItemActions: { feedback: true, retry: true },
    composer: { attachments: { enabled: true } },
    onClientTool: async (call) => {
      calls.push(call);
      return { time: "noon" };
    },
  });
  document.getElementById("place").append(chat);
  await event("ready", since);
  return "the tag is defined, options are taken, chatkit.ready came";
}

const STEPS = [
  { title: "Start", run: start },
  {
    title: "A message in a new thread",
    async run() {
      const since = await mark();
      await chat.sendUserMessage({ text: "hello", newThread: true });
      const entry = await request(["threads.create"], since);
      const change = await event("thread.change", since, ({ threadId }) => threadId);
      await event("response.start", since);
      await whole(entry);
      await event("response.end", since);
      state.threadId = change.detail.threadId;
      await own("threads.get_by_id", { thread_id: state.threadId });
      return "threads.create arrived, chatkit.thread.change names the thread, the answer was read to its end";
    },
  },
  {
    title: "Streaming",
    byHand: true,
    async run() {
      const since = await mark();
      await hold(true);
      await chat.sendUserMessage({ text: "long 30" });
      state.held = await request(["threads.add_user_message"], since);
      await event("response.start", since);
      await until("the server holds the answer", async () => (await ask("/stock-check/seen")).held);
      unsaid("response.end", since);
      state.since = since;
      if (!(await answer("Does the chat show the first lines of an answer that has not ended?")))
        throw new Failed("a person does not see the first lines");
      unsaid("response.end", since);
      return "response.start came while the server held the answer, and a person sees its first lines";
    },
  },
  {
    title: "Stop",
    byHand: true,
    async run() {
      const since = await mark();
      const asked = hand("Press the stop button in the chat.");
      await until("the element closes the stream, or sends turns.stop", async () => {
        const { entries } = await ask("/stock-check/seen");
        return entries[state.held.number].ended || entries.slice(since.seen).some(({ type }) => type === "turns.stop");
      }, { hand: asked });
      await ended(state.held);
      await hold(false);
      await event("response.end", state.since);
      const { content } = await item("assistant_message");
      const text = content.map((part) => part.text).join("");
      if (!text || text.includes("30 of 30")) throw new Failed("the server did not keep the first part alone");
      const told = (await ask("/stock-check/seen")).entries.slice(since.seen).some(({ type }) => type === "turns.stop");
      return `${told ? "turns.stop arrived" : "the stream was closed"}, the first part of the answer is stored`;
    },
    // What was not stopped goes on to its end, before anything else is asked.
    async after() {
      await hold(false);
      if (state.held === undefined) return;
      await ended(state.held);
      await event("response.end", state.since);
    },
  },
  {
    title: "Reload",
    async run() {
      if (!state.reloading) {
        state.reloading = await mark();
        save();
        location.reload();
        return new Promise(() => {});
      }
      const since = { told: 0, seen: state.reloading.seen };
      await start();
      await request(["threads.get_by_id"], since, { holds: ({ params }) => params.thread_id === state.threadId });
      await event("thread.load.end", since, ({ threadId }) => threadId === state.threadId);
      return "initialThread is asked for and loaded";
    },
  },
  {
    title: "A widget's action, by sendCustomAction",
    async run() {
      await say("widget");
      const widget = await item("widget");
      const since = await mark();
      await chat.sendCustomAction({ type: "guide.count", payload: { cups: 2 } }, widget.id);
      const entry = await request(["threads.custom_action"], since, {
        holds: ({ params }) => params.item_id === widget.id,
      });
      await whole(entry);
      return "threads.custom_action arrived with the widget's id";
    },
  },
  {
    title: "A widget's button",
    byHand: true,
    async run() {
      const widget = await item("widget");
      const since = await mark();
      const asked = hand("Press “One more” in the card “Tea”.");
      const entry = await request(["threads.custom_action"], since, {
        holds: ({ params }) => params.item_id === widget.id,
        hand: asked,
      });
      await whole(entry);
      const { widget: card } = await item("widget");
      if (!JSON.stringify(card).includes("3 cups")) throw new Failed("the server did not count 3 cups");
      return "threads.custom_action arrived; the widget that the button is of was the replaced one";
    },
  },
  {
    title: "A client tool",
    async run() {
      const since = await mark();
      calls.length = 0;
      await chat.sendUserMessage({ text: "tool" });
      const entry = await request(["threads.add_client_tool_output"], since);
      await whole(entry);
      await event("response.end", since);
      if (calls.length !== 1) throw new Failed(`onClientTool was called ${calls.length} times`);
      if (entry.params.result?.time !== "noon") throw new Failed("another result arrived than onClientTool gave");
      return `onClientTool was called once, for ${calls[0].name}; its result arrived, the answer went on`;
    },
  },
  {
    title: "An attachment",
    byHand: true,
    async run() {
      const since = await mark();
      const file = new File(["Two cups of tea."], "note.txt", { type: "text/plain" });
      await chat.setComposerValue({ text: "Read this file.", files: [file] });
      await request(["attachments.create"], since, { holds: ({ params }) => params.name === "note.txt" });
      await request(["upload"], since, { what: "the file", holds: ({ status }) => status >= 200 && status < 300 });
      const asked = hand("Press the send button in the chat.");
      const entry = await request(["threads.add_user_message"], since, { hand: asked });
      await whole(entry);
      if (entry.params.input.attachments.length !== 1) throw new Failed("the message names no attachment");
      return "attachments.create, the file itself, and a message with it arrived";
    },
  },
  {
    title: "Retry",
    byHand: true,
    async run() {
      const since = await mark();
      const asked = hand("Press the retry button below the last answer.");
      const entry = await request(["threads.retry_after_item"], since, { hand: asked });
      await whole(entry);
      await event("response.end", since);
      return "threads.retry_after_item arrived, the new answer was read to its end";
    },
  },
  {
    title: "Feedback",
    byHand: true,
    async run() {
      const since = await mark();
      const asked = hand("Press “thumbs up” below the last answer.");
      const entry = await request(["items.feedback"], since, { hand: asked });
      await whole(entry);
      if (entry.params.kind !== "positive") throw new Failed(`the feedback that arrived is ${entry.params.kind}`);
      return "items.feedback arrived, positive";
    },
  },
  {
    title: "History",
    async run() {
      const since = await mark();
      await chat.showHistory();
      await event("history.open", since);
      // The list may have been asked for before: then it is not asked for again.
      await request(["threads.list"], { seen: 0 });
      await chat.hideHistory();
      await event("history.close", since);
      return "threads.list arrived, chatkit.history.open and close came";
    },
  },
  {
    title: "Another thread, and back",
    async run() {
      const since = await mark();
      await chat.setThreadId(null);
      await event("thread.change", since, ({ threadId }) => threadId === null);
      const back = await mark();
      await chat.setThreadId(state.threadId);
      // An element that has kept the thread need not load it.
      await event("thread.change", back, ({ threadId }) => threadId === state.threadId);
      return "chatkit.thread.change came for both";
    },
  },
  {
    title: "fetchUpdates",
    async run() {
      const since = await mark();
      await chat.fetchUpdates();
      const entry = await request(["threads.get_by_id", "items.list"], since);
      return `${entry.type} arrived`;
    },
  },
  {
    title: "No errors",
    async run() {
      if (state.errors.length) throw new Failed(`chatkit.error came: ${state.errors.join("; ")}`);
      const { entries } = await ask("/stock-check/seen");
      const refused = entries.filter(({ status }) => status >= 400).map(({ type, status }) => `${type}: ${status}`);
      if (refused.length) throw new Failed(`the server refused ${refused.join(", ")}`);
      return "no chatkit.error came, no request was refused";
    },
  },
];

// The table and the report.

function draw(at = -1) {
  document.getElementById("steps").replaceChildren(...STEPS.map(({ title, byHand }, number) => {
    const row = document.createElement("tr");
    const done = state.rows[number];
    row.className = done?.result ?? (number === at ? "running" : "");
    const cells = [title, done?.result ?? (number === at ? "running" : ""), done?.seen ?? ""].map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    });
    if (byHand) {
      const label = document.createElement("span");
      label.className = "by-hand";
      label.textContent = "by hand";
      cells[0].append(" ", label);
    }
    row.append(...cells);
    return row;
  }));
}

async function report() {
  const frames = performance.getEntriesByType("resource").filter(({ initiatorType }) => initiatorType === "iframe");
  const { text } = await ask("/stock-check/report", {
    rows: state.rows,
    browser: navigator.userAgent,
    frames: [...new Set(frames.map(({ name }) => name.split(/[?#]/)[0]))],
  });
  document.getElementById("report").hidden = false;
  document.getElementById("text").value = text;
}

async function run() {
  while (state.next < STEPS.length) {
    const step = STEPS[state.next];
    draw(state.next);
    show(step.title);
    try {
      state.rows[state.next] = { step: step.title, result: "passed", seen: await step.run() };
    } catch (error) {
      state.rows[state.next] = { step: step.title, result: "failed", seen: String(error.message ?? error) };
      await step.after?.().catch(() => undefined);
    }
    // Without the element there is nothing to go on with.
    const over = state.rows[0].result === "failed";
    state.next = over ? STEPS.length : state.next + 1;
    save();
  }
  sessionStorage.removeItem(STATE);
  draw();
  const failed = state.rows.filter(({ result }) => result === "failed").length;
  show(`Done: ${state.rows.length - failed} passed, ${failed} failed.`);
  await report();
}

document.getElementById("address").textContent = settings.script;
document.getElementById("copy").addEventListener("click", () =>
  navigator.clipboard.writeText(document.getElementById("text").value));
draw();
if (state.next >= 0) await run();
else {
  const begin = button("Start", true, async () => {
    state.next = 0;
    await run();
  });
  show("The check takes two minutes. Keep this page in front.", begin);
}
