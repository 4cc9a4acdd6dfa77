// @vitest-environment happy-dom
import { beforeEach, describe, expect, test } from "vitest";
import type { OutgoingMessage } from "../../src/controllers/outgoing";
import { Drafts, identity, NOTHING } from "../../src/controllers/drafts";

const page = (): Drafts => new Drafts(() => "/chatkit");
const message = (text: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  content: [{ type: "input_text", text }],
  attachments: [],
  quotedText: null,
  inference: {},
  key: "k1",
  ...more,
});

beforeEach(() => sessionStorage.clear());

describe("a message that has not arrived", () => {
  test("is in the composer of the page after a reload", () => {
    page().keepUnsent("thr", message("hello"));
    const draft = page().get("thr");
    expect(draft.text).toBe("hello");
    expect(draft.sent).toMatchObject({ key: "k1", as: identity(message("hello")) });
  });
  test("is there once only", () => {
    page().keepUnsent("thr", message("hello"));
    page().get("thr");
    expect(page().get("thr").text).toBe("");
  });
  test("is not once it has arrived", () => {
    const drafts = page();
    drafts.keepUnsent("thr", message("hello"));
    drafts.keepUnsent("thr", null);
    expect(page().get("thr")).toEqual(NOTHING);
  });
  test("stands before what was written since", () => {
    const drafts = page();
    drafts.keepUnsent("thr", message("first"));
    drafts.set("thr", { ...NOTHING, text: "second" });
    expect(page().get("thr").text).toBe("first\n\nsecond");
  });
  test("brings its files, without pictures of the page that is gone", () => {
    const attachments = [{ type: "image" as const, id: "atc", name: "a.png", mime_type: "image/png", preview_url: "blob:gone" }];
    page().keepUnsent("", message("", { attachments }));
    const [entry] = page().get("").attachments;
    expect(entry).toMatchObject({ state: "ready", name: "a.png", preview: null, attachment: { id: "atc" } });
  });
  test("does not come into the composer of the page that sends it", () => {
    const drafts = page();
    drafts.keepUnsent("thr", message("hello"));
    expect(drafts.get("thr").text).toBe("");
  });
});

test("everything is forgotten", () => {
  const drafts = page();
  drafts.set("a", { ...NOTHING, text: "secret" });
  drafts.keepUnsent("b", message("secret"));
  sessionStorage.setItem("of the application", "kept");
  drafts.clear();
  expect(drafts.get("a")).toEqual(NOTHING);
  expect([page().get("a"), page().get("b")]).toEqual([NOTHING, NOTHING]);
  expect(Object.keys(sessionStorage)).toEqual(["of the application"]);
});
