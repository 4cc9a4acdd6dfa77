/** Where the chat is, and what lets requests in there. */

import type { CustomApiConfig, HostedApiConfig } from "@openai/chatkit";
import { ClientSecrets } from "./secrets";

/**
 * The option `api`: what the two kinds of the stock element's types hold, in any combination.
 *
 * With `getClientSecret` each request carries a client secret; without `url` it goes to `/chatkit` where the element's
 * script came from. Without `getClientSecret`, `url` is needed.
 */
export type ApiOption = Partial<CustomApiConfig & HostedApiConfig> & {
  /** Where users sign in: an addition of ours. Where the server lets nobody in, a link leads there and back. */
  signInUrl?: string;
};

export interface Endpoint {
  url: string;
  /** Sends requests in place of the browser's own. */
  fetch?: typeof fetch | undefined;
  /** Absent where requests need none. */
  secrets?: ClientSecrets | undefined;
}

/** Returns what the option says; secrets that were asked for stay as long as the function and the address are the same. */
export function endpointOf(api: ApiOption, before?: Endpoint): Endpoint {
  const { fetch, getClientSecret: ask } = api;
  const url = api.url ?? `${new URL(import.meta.url).origin}/chatkit`;
  if (!ask) return { url, fetch };
  const isSame = before?.secrets?.ask === ask && before.url === url;
  return { url, fetch, secrets: isSame ? before.secrets : new ClientSecrets(ask) };
}

/** Sends a request to the chat's server: `send` gets the headers that let it in, and is called again where they are refused. */
export function authorised<T extends { status: number }>({ secrets }: Endpoint, send: (headers: Record<string, string>) => Promise<T>, signal?: AbortSignal): Promise<T> {
  return secrets ? secrets.use((secret) => send({ Authorization: `Bearer ${secret}` }), signal) : send({});
}

/** Whether an address is of the chat's origin, and, with `below`, at its path or below it: no other ever gets a secret. */
export function isOwn(endpoint: Endpoint, address: string, below: boolean): boolean {
  const [chat, other] = [endpoint.url, address].map((url) => new URL(url, document.baseURI)) as [URL, URL];
  if (chat.origin !== other.origin) return false;
  return !below || other.pathname === chat.pathname || other.pathname.startsWith(`${chat.pathname.replace(/\/$/, "")}/`);
}
