/** Registers the element; loaded by `chatkit.js`. */

import "./content/index";
import { ChatKitElement } from "./element/chatkit";

if (!customElements.get("openai-chatkit")) customElements.define("openai-chatkit", ChatKitElement);

export { ChatKitElement };
