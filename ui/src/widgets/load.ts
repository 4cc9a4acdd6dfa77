/** Loads the view of widgets when the first one is shown: most threads have none. */

let widgets: Promise<unknown> | null = null;

export function loadWidgets(): Promise<unknown> {
  widgets ??= import("./index").catch((error: unknown) => {
    widgets = null;
    throw error;
  });
  return widgets;
}
