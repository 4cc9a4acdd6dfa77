/** What is being written, thread by thread; text outlives a reload of the page. */

import type { Attachment } from "@openai/chatkit";
import type { TagContent, WireAttachment } from "../protocol/wire";
import { localId } from "./ids";

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
}

export const NOTHING: Draft = { text: "", tags: [], quote: null, attachments: [] };

/** The drafts of all threads of a server; a new thread's is under the empty id. */
export class Drafts {
  #drafts = new Map<string, Draft>();

  constructor(private readonly url: () => string) {}

  get(threadId: string): Draft {
    let draft = this.#drafts.get(threadId);
    if (!draft) {
      draft = { ...NOTHING, ...this.#stored(threadId) };
      this.#drafts.set(threadId, draft);
    }
    return draft;
  }

  set(threadId: string, draft: Draft): void {
    this.#drafts.set(threadId, draft);
    const { text, tags, quote } = draft;
    try {
      if (text || quote) sessionStorage.setItem(this.#storageKey(threadId), JSON.stringify({ text, tags, quote }));
      else sessionStorage.removeItem(this.#storageKey(threadId));
    } catch {
      // Storage may be full or forbidden: drafts then last as long as the page.
    }
  }

  /** Gives a thread that has none the draft of another one. */
  move(from: string, to: string): void {
    const draft = this.get(from);
    if (isEmpty(draft) || !isEmpty(this.get(to))) return;
    this.set(to, draft);
    this.set(from, NOTHING);
  }

  /** The attachment of a key, in whatever thread. */
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

  #storageKey(threadId: string): string {
    return `chatkit.draft:${this.url()}:${threadId}`;
  }

  #stored(threadId: string): Partial<Draft> {
    try {
      const stored = sessionStorage.getItem(this.#storageKey(threadId));
      return stored ? (JSON.parse(stored) as Partial<Draft>) : {};
    } catch {
      return {};
    }
  }
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
    preview: attachment.type === "image" ? (attachment.preview_url ?? null) : null,
    file: null,
    attachment,
  };
}

/** The picture that the page has is shown until the server's own is there. */
export function withPreview(entry: DraftAttachment, attachment: WireAttachment): WireAttachment {
  return entry.preview ? { ...attachment, preview_url: entry.preview } : attachment;
}
