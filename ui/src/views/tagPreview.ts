/** The card that previews an entity while its tag is hovered or focused, in a message and in the composer. */

import type { Citation } from "../content/citations";
import { PreviewController } from "../content/preview";
import type { TagContent } from "../protocol/wire";
import type { ShellView } from "./base";

/** Whether the page previews the entity of a tag. */
export function hasPreview(view: ShellView, tag: TagContent): boolean {
  return tag.interactive === true && view.app.options.entities?.onRequestPreview !== undefined;
}

/** The entity of a tag, as the page gave it. */
export function entityOf(tag: TagContent): { id: string; title: string; interactive: boolean; data: Record<string, string>; group?: string } {
  return {
    id: tag.id,
    title: tag.text,
    interactive: tag.interactive ?? false,
    data: (tag.data ?? {}) as Record<string, string>,
    ...(tag.group ? { group: tag.group } : {}),
  };
}

/** Returns the controller of a view's previews; its tags say their place in `tags` as `data-citation`. */
export function tagPreviews(view: ShellView, tags: () => readonly TagContent[]): PreviewController {
  // One object a tag, so that the card that is open already is known.
  const known = new WeakMap<TagContent, Citation>();
  const find = (number: number): Citation | null => {
    const tag = tags()[number];
    if (!tag || !hasPreview(view, tag)) return null;
    let citation = known.get(tag);
    if (!citation) {
      citation = { number, source: { type: "entity", preview: "only", ...entityOf(tag) } };
      known.set(tag, citation);
    }
    return citation;
  };
  return new PreviewController(view, () => view.app.content, find, (source) => {
    const tag = tags().find((candidate) => candidate.id === (source as { id: string }).id);
    return tag ? entityOf(tag) : source;
  });
}
