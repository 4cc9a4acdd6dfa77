/** An application as the documentation of `@openai/chatkit-react` writes it, with hooks for the tests on `window`. */

import { ChatKit, useChatKit, type UseChatKitOptions, type UseChatKitReturn } from "@openai/chatkit-react";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

interface Hooks {
  seen: [string, unknown][];
  tools: unknown[];
  chat: UseChatKitReturn;
  look: (more: Partial<UseChatKitOptions>) => void;
  show: (isShown: boolean) => void;
  repaint: (className: string) => void;
}

const hooks = window as unknown as Hooks;
hooks.seen = [];
hooks.tools = [];
const note = (name: string) => (detail?: unknown) => {
  hooks.seen.push([name, detail ?? null]);
};

const asked = new URLSearchParams(location.search);

/** As pages of hosted ChatKit have it: a server of the application's own makes the session. */
async function getClientSecret(current: string | null): Promise<string> {
  const response = await fetch("/session", { method: "POST", body: JSON.stringify({ current }) });
  if (!response.ok) throw new Error(`There is no session: HTTP ${response.status}`);
  const { client_secret } = (await response.json()) as { client_secret: string };
  return client_secret;
}

function Chat({ className }: { className: string }) {
  const [more, setMore] = useState<Partial<UseChatKitOptions>>({});
  const chat = useChatKit({
    api: asked.has("hosted") ? { getClientSecret } : { url: "/chatkit", domainKey: "domain_pk_test" },
    composer: { placeholder: "Ask the shop" },
    startScreen: { greeting: "Welcome", prompts: [{ label: "Say hello", prompt: "hello", icon: "sparkle" }] },
    onClientTool: async (call) => {
      hooks.tools.push(call);
      return { time: "noon" };
    },
    onReady: note("ready"),
    onResponseStart: note("response.start"),
    onResponseEnd: note("response.end"),
    onThreadChange: note("thread.change"),
    onThreadLoadStart: note("thread.load.start"),
    onThreadLoadEnd: note("thread.load.end"),
    onToolChange: note("tool.change"),
    onEffect: note("effect"),
    onError: note("error"),
    onLog: note("log"),
    ...more,
  });
  hooks.chat = chat;
  hooks.look = setMore;
  return <ChatKit control={chat.control} className={className} style={{ display: "block", height: 600 }} />;
}

function App() {
  const [isShown, setShown] = useState(true);
  const [className, setClassName] = useState("shop wide");
  hooks.show = setShown;
  hooks.repaint = setClassName;
  return <main>{isShown && <Chat className={className} />}</main>;
}

createRoot(document.getElementById("root") as HTMLElement).render(asked.has("strict") ? <StrictMode><App /></StrictMode> : <App />);
