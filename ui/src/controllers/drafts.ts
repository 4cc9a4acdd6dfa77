/** What is being written, thread by thread; text outlives a reload of the page. */

import type { Attachment } from "@openai/chatkit";
import type { InferenceOptions, TagContent, WireAttachment } from "../protocol/wire";
import type { OutgoingMessage } from "./outgoing";
import { localId } from "./ids";
import { textOf } from "./mentions";

export interface DraftAttachment {
  key: string;
  name: string;
  mimeType: string;
  size: number | null;
  state: "uploading" | "ready" | "failed";
  /** From 0 to 1; null where it is not known. */
  progress: number | null;
  error: string | null;
  preview: string | null;
  file: File | null;
  attachment: WireAttachment | null;
}

export interface Draft {
  text: string;
  tags: TagContent[];
  quote: string | null;
  attachments: DraftAttachment[];
  /** The message that this is, sent before a reload: as long as nothing of it is changed, it is sent as the same one. */
  sent?: { key: string; as: string; inference: InferenceOptions };
}

export const NOTHING: Draft = { text: "", tags: [], quote: null, attachments: [] };

const DRAFT = "chatkit.draft:";
const UNSENT = "chatkit.unsent:";

/** The drafts of all threads of a server; a new thread's is under the empty id. */
export class Drafts {
  #drafts = new Map<string, Draft>();

  constructor(private readonly url: () => string) {}

  get(threadId: string): Draft {
    let draft = this.#drafts.get(threadId);
    if (!draft) {
      draft = before(this.#unsent(threadId), { ...NOTHING, ...this.#stored(threadId) });
      this.#drafts.set(threadId, draft);
    }
    return draft;
  }

  set(threadId: string, draft: Draft): void {
    this.#drafts.set(threadId, draft);
    const { text, tags, quote } = draft;
    this.#store(DRAFT, threadId, text || quote ? { text, tags, quote } : null);
  }

  /** Keeps a message that is on its way for the page that comes after a reload; null once it has arrived. */
  keepUnsent(threadId: string, message: OutgoingMessage | null): void {
    // What the page before this one has left is to be found first.
    this.get(threadId);
    this.#store(UNSENT, threadId, message);
  }

  /** Forgets everything, in this tab's storage too. */
  clear(): void {
    this.#drafts.clear();
    try {
      for (const key of Object.keys(sessionStorage)) if (key.startsWith(DRAFT) || key.startsWith(UNSENT)) sessionStorage.removeItem(key);
    } catch {
      // Where storage is forbidden, nothing is stored.
    }
  }

  /** Gives a thread that has none the draft of another one. */
  move(from: string, to: string): void {
    const draft = this.get(from);
    if (isEmpty(draft) || !isEmpty(this.get(to))) return;
    this.set(to, draft);
    this.set(from, NOTHING);
  }

  /** Returns the attachment of a key, of any thread. */
  attachment(key: string): DraftAttachment | null {
    for (const draft of this.#drafts.values()) {
      const found = draft.attachments.find((entry) => entry.key === key);
      if (found) return found;
    }
    return null;
  }

  /** Changes the attachment of a key; null takes it away. */
  change(key: string, change: Partial<DraftAttachment> | null): void {
    for (const [threadId, draft] of this.#drafts) {
      const index = draft.attachments.findIndex((entry) => entry.key === key);
      const entry = draft.attachments[index];
      if (!entry) continue;
      const attachments = change === null ? draft.attachments.toSpliced(index, 1) : draft.attachments.with(index, { ...entry, ...change });
      this.#drafts.set(threadId, { ...draft, attachments });
    }
  }

  #store(kind: string, threadId: string, value: unknown): void {
    try {
      if (value === null) sessionStorage.removeItem(this.#storageKey(kind, threadId));
      else sessionStorage.setItem(this.#storageKey(kind, threadId), JSON.stringify(value));
    } catch {
      // Storage may be full or forbidden: drafts then last as long as the page.
    }
  }

  #storageKey(kind: string, threadId: string): string {
    return `${kind}${this.url()}:${threadId}`;
  }

  #stored(threadId: string): Partial<Draft> {
    return (this.#read(DRAFT, threadId) ?? {}) as Partial<Draft>;
  }

  #unsent(threadId: string): OutgoingMessage | null {
    const message = this.#read(UNSENT, threadId) as OutgoingMessage | null;
    // In the composer it is a draft like any other.
    if (message) this.#store(UNSENT, threadId, null);
    return message;
  }

  #read(kind: string, threadId: string): unknown {
    try {
      const stored = sessionStorage.getItem(this.#storageKey(kind, threadId));
      return stored ? JSON.parse(stored) : null;
    } catch {
      return null;
    }
  }
}

/** Puts a message that was not sent before what has been written since. */
export function before(message: OutgoingMessage | null, since: Draft): Draft {
  if (message === null) return since;
  const { text, tags } = textOf(message.content);
  const draft = {
    text: [text, since.text].filter(Boolean).join("\n\n"),
    tags: [...tags, ...since.tags],
    quote: message.quotedText ?? since.quote,
    attachments: [...message.attachments.map(uploaded), ...since.attachments],
  };
  return message.key === undefined ? draft : { ...draft, sent: { key: message.key, as: identity(message), inference: message.inference } };
}

/** What two messages have in common that are the same for their writer; the chosen tool and model may differ. */
export function identity({ content, attachments, quotedText }: OutgoingMessage): string {
  const parts = content.map((part) => (part.type === "input_tag" ? [part.id, part.text] : part.text));
  return JSON.stringify([parts, attachments.map((attachment) => attachment.id), quotedText]);
}

function isEmpty({ text, quote, attachments }: Draft): boolean {
  return text === "" && quote === null && attachments.length === 0;
}

/** A file whose upload begins. */
export function entryOf(file: File): DraftAttachment {
  return {
    key: localId("attachment"),
    name: file.name,
    mimeType: file.type,
    size: file.size,
    state: "uploading",
    progress: null,
    error: null,
    preview: file.type.startsWith("image/") ? URL.createObjectURL(file) : null,
    file,
    attachment: null,
  };
}

/** A file that the server has. */
export function uploaded(attachment: Attachment | WireAttachment): DraftAttachment {
  return {
    key: localId("attachment"),
    name: attachment.name,
    mimeType: attachment.mime_type,
    size: null,
    state: "ready",
    progress: 1,
    error: null,
    preview: attachment.type === "image" && !isOfAnotherPage(attachment.preview_url) ? (attachment.preview_url ?? null) : null,
    file: null,
    attachment,
  };
}

/** Whether a picture's address was good on the page before this one only. */
function isOfAnotherPage(url: string | null | undefined): boolean {
  return url?.startsWith("blob:") ?? false;
}

/** The picture that the page has is shown until the server's own is there. */
export function withPreview(entry: DraftAttachment, attachment: WireAttachment): WireAttachment {
  return entry.preview ? { ...attachment, preview_url: entry.preview } : attachment;
}
