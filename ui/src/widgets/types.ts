/** Widgets as they come over the wire: every field may be missing, wrong or null, whatever the types say. */

export interface WidgetNode {
  readonly type: string;
  readonly key?: string | null;
  readonly id?: string | null;
  readonly [field: string]: unknown;
}

export type Dict = Readonly<Record<string, unknown>>;

export function isDict(value: unknown): value is Dict {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isNode(value: unknown): value is WidgetNode {
  return isDict(value) && typeof value["type"] === "string";
}

/** Text of a field: strings and numbers as text, anything else as nothing. */
export function text(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

/** The value where it is one of those allowed, the fallback otherwise. */
export function oneOf<Value extends string>(value: unknown, allowed: readonly Value[], fallback: Value): Value {
  return allowed.includes(value as Value) ? (value as Value) : fallback;
}

/** The children of a node: a list, one node, or none. */
export function childrenOf(node: WidgetNode): WidgetNode[] {
  const { children } = node;
  return (Array.isArray(children) ? children : [children]).filter(isNode);
}

/** A key for each child that stays with it through updates: its own key or id, else its place and type. */
export function keysOf(children: readonly WidgetNode[]): string[] {
  const taken = new Set<string>();
  return children.map((child, place) => {
    const own = text(child.key) || text(child.id);
    const key = own && !taken.has(own) ? own : `${place}:${child.type}`;
    taken.add(key);
    return key;
  });
}
