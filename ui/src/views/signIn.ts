/** The link to where users sign in. */

import { html, nothing, type TemplateResult } from "lit";
import type { Translate } from "../contracts";
import { signInAddress } from "../controllers/failures";
import type { Failure } from "../state/thread";

/** Returns the link, for failures that signing in ends and chats that have a sign-in. */
export function signInLink(failure: Failure, signInUrl: string | undefined, translate: Translate): TemplateResult | typeof nothing {
  const address = signInAddress(failure, signInUrl);
  return address === undefined ? nothing : html`<a class="button small primary" part="sign-in" href=${address}>${translate("failure.signIn")}</a>`;
}
