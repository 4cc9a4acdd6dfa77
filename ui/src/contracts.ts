/** What the element's shell gives to the views of content and widgets, and what it wants to hear from them. */

/** Strings of the table in `strings/`, looked up by key; `{name}` in a string is replaced by the argument of that name. */
export type Translate = (key: string, args?: Record<string, string | number>) => string;

/** The page's side of entities: sources and tags that are things of its own. */
export interface EntityHost {
  /** Called for a click on an entity. */
  onClick?(entity: unknown): void;
  /** Answers with the widget that previews an entity, or with null. */
  onRequestPreview?(entity: unknown): Promise<{ preview: unknown } | null>;
}

/** What every view of model or user content needs to know. */
export interface ContentHost {
  readonly translate: Translate;
  readonly locale: string;
  readonly colorScheme: "light" | "dark";
  /**
   * Hosts besides the application's own that images may come from; null where nothing is said: then those of markdown
   * load when they are asked for, those of widgets at once from every https host.
   */
  readonly allowedImageDomains: readonly string[] | null;
  /** Origins of the application besides the page's own, such as that of its server. */
  readonly origins?: readonly string[];
  /**
   * Called for a click on a link that is no ordinary https, http or mailto address. Returns true where the application
   * deals with it; otherwise it is a link like others, if it leads anywhere.
   */
  onDeepLink(name: string, data?: Record<string, unknown>): boolean | void;
  /** Tells an application's log of something odd: unknown component, refused address. */
  onLog(name: string, data?: Record<string, unknown>): void;
  /** Loads the view of widgets; without it, they are shown where the page has loaded it. */
  loadWidgets?(): Promise<unknown>;
  /** Absent where the page does nothing with entities. */
  readonly entities?: EntityHost;
}

/** An action of a widget as the protocol spells it, defaults filled in. */
export interface WidgetAction {
  type: string;
  payload?: Record<string, unknown>;
  handler: "server" | "client";
  loadingBehavior: "auto" | "none" | "self" | "container";
  streaming: boolean;
}

/** Where an action comes from. */
export interface ActionSource {
  itemId: string | null;
  widget: unknown;
  /** Called when the server answers to the action, at last where it was tried again after it had failed. */
  onArrival?(): void;
}

/** The shell's side of widgets. */
export interface WidgetHost extends ContentHost {
  /** Carries out an action; resolves when the server or the page is done with it, rejects where it failed. */
  onAction(action: WidgetAction, source: ActionSource): Promise<void>;
}
