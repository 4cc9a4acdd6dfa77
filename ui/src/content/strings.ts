/** English texts of the content and widget views; the shell's string table includes them, a view alone falls back to them. */

import type { ContentHost, Translate } from "../contracts";

export const contentStrings: Record<string, string> = {
  "code.copy": "Copy code",
  "code.copied": "Copied",
  "code.failed": "Could not copy",
  "code.label": "Code, {language}",
  "code.plain": "text",
  "table.label": "Table",
  "math.label": "Formula",
  "link.newTab": "opens in a new tab",
  "image.open": "Open image",
  "sources.title": "Sources",
  "sources.count": "{count} sources",
  "sources.one": "1 source",
  "sources.citation": "Source {number}: {title}",
  "sources.file": "File",
  "workflow.thinking": "Thinking",
  "workflow.working": "Working",
  "workflow.thoughtFor": "Thought for {duration}",
  "workflow.workedFor": "Worked for {duration}",
  "workflow.thought": "Thought",
  "workflow.done": "Done",
  "task.search": "Searching the web",
  "task.searched": "Searched the web",
  "task.files": "Reading files",
  "task.filesDone": "Read files",
  "task.image": "Creating an image",
  "task.imageDone": "Created an image",
  "task.thought": "Thinking",
  "task.custom": "Task",
  "task.loading": "in progress",
  "task.complete": "complete",
  "generated.creating": "Creating image",
  "generated.progress": "Creating image, {percent} %",
  "generated.alt": "Generated image",
  "generated.failed": "The image could not be loaded",
  "generated.download": "Download image",
  "widget.showMore": "Show {count} more",
  "widget.showAll": "Show more",
  "widget.unknown": "This content cannot be shown here",
  "widget.failed": "That did not work. Please try again.",
  "widget.loading": "Working",
  "widget.choose": "Select",
  "widget.chooseDate": "Choose a date",
  "widget.clear": "Clear",
  "widget.search": "Search",
  "widget.noMatches": "No matches",
  "widget.previousMonth": "Previous month",
  "widget.nextMonth": "Next month",
  "widget.expand": "Show details",
  "widget.collapse": "Hide details",
  "widget.chart": "Chart",
  "widget.chartTable": "Data of the chart",
  "widget.required": "Fill in this field.",
  "widget.invalid": "Check this field.",
};

/** Looks a text up in `contentStrings` and fills its `{name}` slots. */
export const translateDefault: Translate = (key, args) =>
  (contentStrings[key] ?? key).replace(/\{(\w+)\}/g, (slot, name: string) => String(args?.[name] ?? slot));

/** A host for views that stand alone: English, light, no deep links, silent. */
export const defaultHost: ContentHost = {
  translate: translateDefault,
  locale: "en",
  colorScheme: "light",
  allowedImageDomains: null,
  onDeepLink: () => undefined,
  onLog: () => undefined,
};
