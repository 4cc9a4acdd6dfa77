/** Tasks of a workflow as the protocol has them, and how long things took in words. */

import type { ContentHost } from "../contracts";
import type { FileSource, UrlSource } from "./citations";

interface TaskBase {
  status_indicator?: "none" | "loading" | "complete";
  title?: string | null;
}

export interface CustomTask extends TaskBase {
  type: "custom";
  icon?: string | null;
  content?: string | null;
}

export interface SearchTask extends TaskBase {
  type: "web_search";
  title_query?: string | null;
  queries?: string[];
  sources?: UrlSource[];
}

export interface ThoughtTask extends TaskBase {
  type: "thought";
  content: string;
}

export interface FileTask extends TaskBase {
  type: "file";
  sources?: FileSource[];
}

export interface ImageTask extends TaskBase {
  type: "image";
}

export type Task = CustomTask | SearchTask | ThoughtTask | FileTask | ImageTask;

export interface Workflow {
  type: "custom" | "reasoning";
  tasks: Task[];
  summary?: { title: string; icon?: string | null } | { duration: number } | null;
  expanded?: boolean;
}

/** "45 seconds", "2 minutes 5 seconds" in the reader's language. */
export function formatDuration(seconds: number, locale: string): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 3600), "hour"],
    [Math.floor((whole % 3600) / 60), "minute"],
    [whole % 60, "second"],
  ];
  const shown = parts.filter(([count]) => count > 0);
  return (shown.length > 0 ? shown : [parts[2]!])
    .map(([count, unit]) => new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" }).format(count))
    .join(" ");
}

/** Icon of a task. */
export function taskIcon(task: Task): string {
  switch (task.type) {
    case "web_search":
      return "globe";
    case "file":
      return "document";
    case "image":
      return "image";
    case "thought":
      return "lightbulb";
    default:
      return task.icon || "dot";
  }
}

/** Title of a task: its own, or one of its kind. */
export function taskTitle(task: Task, loading: boolean, host: ContentHost): string {
  if (task.title) return task.title;
  const { translate } = host;
  switch (task.type) {
    case "web_search":
      return task.title_query || translate(loading ? "task.search" : "task.searched");
    case "file":
      return translate(loading ? "task.files" : "task.filesDone");
    case "image":
      return translate(loading ? "task.image" : "task.imageDone");
    case "thought":
      return "";
    default:
      return task.content ? "" : translate("task.custom");
  }
}

/** The line that stands for a workflow while it is folded. */
export function workflowTitle(workflow: Workflow, active: boolean, host: ContentHost): string {
  const { translate, locale } = host;
  const { summary } = workflow;
  const reasoning = workflow.type === "reasoning";
  if (summary && "title" in summary && summary.title) return summary.title;
  if (active) {
    const last = workflow.tasks.at(-1);
    return (last && last.type !== "thought" ? taskTitle(last, true, host) : last?.title) || translate(reasoning ? "workflow.thinking" : "workflow.working");
  }
  if (summary && "duration" in summary && typeof summary.duration === "number") {
    return translate(reasoning ? "workflow.thoughtFor" : "workflow.workedFor", { duration: formatDuration(summary.duration, locale) });
  }
  return translate(reasoning ? "workflow.thought" : "workflow.done");
}
