// @vitest-environment happy-dom
// @vitest-environment-options {"settings": {"handleDisabledFileLoadingAsSuccess": true, "disableJavaScriptFileLoading": true, "disableIframePageLoading": true}}
import { afterEach, describe, expect, it } from "vitest";

import payloads from "./xss.json";
import { findDanger, hostileViews } from "./xssViews";

const all = Object.entries(payloads).flatMap(([kind, texts]) => texts.map((text) => [kind, text] as const));

afterEach(() => {
  document.body.replaceChildren();
});

describe("hostile texts", () => {
  it("are at least sixty", () => {
    expect(new Set(all.map(([, text]) => text)).size).toBeGreaterThanOrEqual(60);
  });

  it.each(all)("%s: %s", async (_kind, text) => {
    const views = hostileViews(text);
    document.body.append(...views);
    for (const view of views) await (view as HTMLElement & { updateComplete: Promise<boolean> }).updateComplete;
    expect(findDanger(document.body)).toEqual([]);
  });
});
