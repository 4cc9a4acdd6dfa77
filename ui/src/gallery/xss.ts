/** Runs the collection of hostile texts in a real browser, without a content security policy that would hide a hole. */

import payloads from "../../tests/xss.json";
import { everyElement, findDanger, hostileViews } from "../../tests/xssViews";

const ran: string[] = [];
let current = "";
const trap = (name: string) => (): undefined => {
  ran.push(`${name} by ${current}`);
  return undefined;
};
for (const name of ["alert", "confirm", "prompt", "print", "open", "msgbox"]) {
  Object.defineProperty(window, name, { value: trap(name), writable: false });
}
document.addEventListener("submit", (event) => event.preventDefault());
// Links are allowed to lead out; the test only looks at what runs on the way.
document.addEventListener("click", (event) => event.preventDefault());

/** With `?hole`, the page also writes one kind of texts as markup, to show that the traps close. */
const hole = location.search === "?hole";

const EVENTS = ["mouseover", "mouseenter", "pointerover", "click", "focus", "blur", "toggle", "beforetoggle", "animationstart", "load", "error"];

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

async function run(): Promise<void> {
  const dangers: string[] = [];
  let count = 0;
  let elements = 0;
  for (const [kind, texts] of Object.entries(payloads)) {
    if (hole && kind !== "quoting") continue;
    for (const text of texts) {
      current = `${kind}: ${text}`;
      document.body.replaceChildren(...hostileViews(text));
      if (hole) {
        const unsafe = document.createElement("div");
        unsafe.innerHTML = text;
        document.body.append(unsafe);
      }
      for (let round = 0; round < 4; round += 1) await pause();
      for (const element of everyElement(document.body)) {
        elements += 1;
        for (const name of EVENTS) element.dispatchEvent(new Event(name, { bubbles: name !== "load" && name !== "error", cancelable: true, composed: true }));
      }
      await pause();
      for (const danger of findDanger(document.body)) dangers.push(`${danger} by ${current}`);
      count += 1;
    }
  }
  // Highlighting and formulas arrive later than the views: wait for all that is still loading.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const loaded = performance
    .getEntriesByType("resource")
    .map((entry) => entry.name)
    .filter((name) => !name.startsWith(location.origin) && !name.startsWith("https://example.com/"));
  const report = { payloads: count, elements, ran, dangers: dangers.slice(0, 50), loaded };
  document.body.replaceChildren(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(report, null, 1) }));
  document.title = ran.length + dangers.length + loaded.length === 0 ? "passed" : "failed";
}

void run();
