/** Client secrets: what the page's application gives to let its user in, asked for, kept and renewed. */

import { unlessAborted } from "../protocol/aborting";
import { asError, ClientSecretError } from "../protocol/errors";

export type GetClientSecret = (currentClientSecret: string | null) => Promise<string>;

/** A secret is renewed when so many milliseconds of its time are left, or half of it where that is less. */
const EARLY = 60_000;
/** How long the page may take to give one, in milliseconds. */
const LIMIT = 30_000;

/** Times are this browser's, in milliseconds since 1970; infinite where they are not known. */
interface Secret {
  value: string;
  renewAt: number;
  expiresAt: number;
}

/** Returns when a secret expires, in milliseconds since 1970; null for one that is neither of ours nor a JWT that says so. */
export function expiryOf(secret: string): number | null {
  const seconds = /^ckcs-\w+\.(\d{1,12})\.[\w-]+$/.exec(secret)?.[1];
  if (seconds !== undefined) return Number(seconds) * 1000;
  const payload = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(secret)?.[1];
  if (payload === undefined) return null;
  try {
    const { exp } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/"))) as { exp?: unknown };
    return typeof exp === "number" ? exp * 1000 : null;
  } catch {
    return null;
  }
}

/** The secrets of one function of the page: one at a time, asked for once for all requests that wait. */
export class ClientSecrets {
  #secret: Secret | null = null;
  #renewal: Promise<string> | null = null;

  constructor(readonly ask: GetClientSecret) {}

  /**
   * Sends a request with a secret. Where the server refuses that with 401, sends it once more with another one, and
   * returns the answer, whatever it is then.
   *
   * Throws a ClientSecretError where the page gives none.
   */
  async use<T extends { status: number }>(send: (secret: string) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const secret = await unlessAborted(this.#current(), signal);
    const answer = await send(secret);
    if (answer.status !== 401) return answer;
    const other = await unlessAborted(this.#otherThan(secret), signal);
    return other === secret ? answer : send(other);
  }

  async #current(): Promise<string> {
    const now = Date.now();
    if (this.#secret === null || now >= this.#secret.expiresAt) return this.#renew();
    // This one is still good, so that nothing has to wait; where the next one does not come, it is asked for again.
    if (now >= this.#secret.renewAt) this.#renew().catch(() => undefined);
    return this.#secret.value;
  }

  /** Another request may have brought a new one since. */
  async #otherThan(refused: string): Promise<string> {
    return this.#secret !== null && this.#secret.value !== refused ? this.#secret.value : this.#renew();
  }

  #renew(): Promise<string> {
    this.#renewal ??= this.#ask().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #ask(): Promise<string> {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Error(`nothing came within ${LIMIT / 1000} s`)), LIMIT);
    try {
      // One that comes too late is kept for the next request.
      return await unlessAborted(this.#receive(), limit.signal);
    } catch (error) {
      if (error instanceof ClientSecretError) throw error;
      throw new ClientSecretError(`getClientSecret failed: ${asError(error).message}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  async #receive(): Promise<string> {
    const { ask } = this;
    const given: unknown = await ask(this.#secret?.value ?? null);
    // Nothing else can be sent in a header.
    if (typeof given !== "string" || !/^[\x21-\x7e]+$/.test(given)) {
      throw new ClientSecretError("getClientSecret has to return the client secret itself, as a text without spaces.");
    }
    this.#secret = secretOf(given);
    return given;
  }
}

function secretOf(value: string): Secret {
  const now = Date.now();
  const left = (expiryOf(value) ?? 0) - now;
  // One that is over when it comes was made by another clock: the server will say when it is over.
  if (left <= 0) return { value, renewAt: Infinity, expiresAt: Infinity };
  return { value, renewAt: now + left - Math.min(EARLY, left / 2), expiresAt: now + left };
}
