/** A message as the composer hands it over. */

import type { InferenceOptions, UserContent, UserMessageInput, WireAttachment } from "../protocol/wire";

export interface OutgoingMessage {
  content: UserContent[];
  attachments: WireAttachment[];
  quotedText: string | null;
  inference: InferenceOptions;
  /** Under which it was sent before: the server takes it for the same one. */
  key?: string;
}

/** Returns a message as the protocol spells it. */
export function inputOf({ content, attachments, quotedText, inference }: OutgoingMessage): UserMessageInput {
  return {
    content,
    attachments: attachments.map((attachment) => attachment.id),
    inference_options: inference,
    ...(quotedText ? { quoted_text: quotedText } : {}),
  };
}
