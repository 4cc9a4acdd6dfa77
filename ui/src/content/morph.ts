/** Turns one tree into another with as few changes as possible, so that nothing flickers while text streams in. */

const keys = new WeakMap<Node, string>();

/** Marks a node whose inside is filled in later: a node with the same key is left alone. */
export function setKey(node: Node, key: string): void {
  keys.set(node, key);
}

/** Gives an element the attributes of another, in their order: what streamed in has the same markup as what is stored. */
function syncAttributes(from: Element, to: Element): void {
  const [now, next] = [from.getAttributeNames(), to.getAttributeNames()];
  const kept = now.findIndex((name, place) => name !== next[place]);
  if (kept >= 0) for (const name of now.slice(kept)) from.removeAttribute(name);
  for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value) from.setAttribute(name, value);
}

function sameKind(from: Node, to: Node): boolean {
  return from.nodeName === to.nodeName && keys.has(from) === keys.has(to);
}

function morphNode(from: Node, to: Node): void {
  if (from.nodeType === Node.TEXT_NODE) {
    const now = from as Text;
    const next = to as Text;
    if (now.data === next.data) return;
    if (next.data.startsWith(now.data)) now.appendData(next.data.slice(now.data.length));
    else now.data = next.data;
    return;
  }
  const key = keys.get(to);
  if (key !== undefined) {
    if (keys.get(from) !== key) from.parentNode?.replaceChild(to, from);
    return;
  }
  if (from instanceof Element && to instanceof Element) {
    // A reader may have opened it meanwhile.
    if (from.nodeName === "DETAILS" && from.hasAttribute("open")) to.setAttribute("open", "");
    syncAttributes(from, to);
  }
  morphChildren(from, to);
}

/** Gives `from` the children of `to`, after the first `kept` of its own, keeping every node that is already right. */
export function morphChildren(from: Node, to: Node, kept = 0): void {
  const next = [...to.childNodes];
  let current = kept === 0 ? from.firstChild : (from.childNodes[kept] ?? null);
  for (const child of next) {
    const following: ChildNode | null = current?.nextSibling ?? null;
    if (!current) from.appendChild(child);
    else if (sameKind(current, child)) morphNode(current, child);
    else from.replaceChild(child, current);
    current = following;
  }
  while (current) {
    const following: ChildNode | null = current.nextSibling;
    current.remove();
    current = following;
  }
}
