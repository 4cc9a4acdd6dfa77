/** The compiler is the test: our class is what the types of the stock element promise. */

import type { ChatKitEvents, ChatKitOptions, OpenAIChatKit } from "@openai/chatkit";
import { expectTypeOf, test } from "vitest";
import type { ApiOption } from "../../src/client/endpoint";
import type { AppEvents } from "../../src/controllers/app";
import type { ChatKitElement } from "../../src/element/chatkit";

type Methods = Exclude<keyof OpenAIChatKit, keyof HTMLElement>;
type DetailOf<Event> = Event extends CustomEvent<infer Detail> ? ([Detail] extends [void] ? undefined : Detail) : never;

test("every method takes and returns what the stock one does", () => {
  expectTypeOf<Methods>().toEqualTypeOf<
    "setOptions" | "focusComposer" | "setThreadId" | "sendCustomAction" | "sendUserMessage" | "setComposerValue" | "showHistory" | "hideHistory" | "fetchUpdates"
  >();
  expectTypeOf<Pick<ChatKitElement, Methods>>().toExtend<Pick<OpenAIChatKit, Methods>>();
  expectTypeOf<ChatKitElement>().toExtend<OpenAIChatKit>();
});

test("every option is taken", () => {
  expectTypeOf<Parameters<ChatKitElement["setOptions"]>[0]>().toEqualTypeOf<ChatKitOptions>();
});

test("api may hold fields of both kinds", () => {
  const api = { getClientSecret: async (current: string | null) => current ?? "s", url: "/chatkit", fetch };
  expectTypeOf(api).toExtend<ChatKitOptions["api"]>();
  expectTypeOf<ChatKitOptions["api"]>().toExtend<ApiOption>();
});

test("every event is one of the stock element's, with its detail", () => {
  expectTypeOf<keyof AppEvents>().toEqualTypeOf<keyof ChatKitEvents>();
  expectTypeOf<AppEvents>().toEqualTypeOf<{ [Name in keyof ChatKitEvents]: DetailOf<ChatKitEvents[Name]> }>();
});
