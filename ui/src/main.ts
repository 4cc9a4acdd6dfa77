/** Registers the element; loaded by `chatkit.js`. */

import { ChatKitElement } from "./element/chatkit";

import.meta.glob("./content/index.ts", { eager: true });
import.meta.glob("./content/markdown.ts", { eager: true });
import.meta.glob("./widgets/index.ts", { eager: true });

if (!customElements.get("openai-chatkit")) customElements.define("openai-chatkit", ChatKitElement);

export { ChatKitElement };
