/** Mentions in the composer's plain text: `@Name` stands for a tag as long as it is written like one. */

import type { TagContent, UserContent } from "../protocol/wire";

/** How a tag is written in the text. */
export function tokenOf(tag: TagContent): string {
  return tag.text.startsWith("@") ? tag.text : `@${tag.text}`;
}

export interface Segment {
  text: string;
  tag: TagContent | null;
}

/** Cuts text at the tags that are written in it. */
export function segments(text: string, tags: readonly TagContent[]): Segment[] {
  const byToken = new Map(tags.map((tag) => [tokenOf(tag), tag]));
  // The longest first, so that "@Ada Lovelace" is not read as "@Ada".
  const tokens = [...byToken.keys()].toSorted((a, b) => b.length - a.length);
  const found: Segment[] = [];
  let plain = "";
  let at = 0;
  while (at < text.length) {
    const token = text[at] === "@" ? tokens.find((candidate) => text.startsWith(candidate, at)) : undefined;
    const tag = token === undefined ? undefined : byToken.get(token);
    if (token !== undefined && tag) {
      if (plain) found.push({ text: plain, tag: null });
      found.push({ text: token, tag });
      plain = "";
      at += token.length;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  if (plain) found.push({ text: plain, tag: null });
  return found;
}

/** The content of a message, outer white space removed. */
export function contentOf(text: string, tags: readonly TagContent[]): UserContent[] {
  const content: UserContent[] = segments(text.trim(), tags).map((segment) =>
    segment.tag ? segment.tag : { type: "input_text", text: segment.text },
  );
  return content;
}

/** The text in which a message's content is written, and its tags. */
export function textOf(content: readonly UserContent[]): { text: string; tags: TagContent[] } {
  const tags = content.filter((part) => part.type === "input_tag");
  return { text: content.map((part) => (part.type === "input_tag" ? tokenOf(part) : part.text)).join(""), tags };
}

export interface Query {
  sign: "@" | "/";
  text: string;
  start: number;
  end: number;
}

/** What is being searched for where the caret stands: an `@` at the start of a word, or a `/` at the start of the text. */
export function queryAt(text: string, caret: number, tags: readonly TagContent[]): Query | null {
  const before = text.slice(0, caret);
  const slash = /^\/(\S*)$/.exec(before);
  if (slash) return { sign: "/", text: slash[1] ?? "", start: 0, end: caret };
  const at = /(?:^|[\s(])@([^@\n]{0,40})$/.exec(before);
  if (!at) return null;
  const text_ = at[1] ?? "";
  const start = caret - text_.length - 1;
  const isWritten = tags.some((tag) => text.startsWith(tokenOf(tag), start));
  return isWritten || /\s{2}|\s\S+\s\S+\s/.test(text_) ? null : { sign: "@", text: text_, start, end: caret };
}
