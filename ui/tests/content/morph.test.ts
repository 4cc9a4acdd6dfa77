import { expect, it } from "vitest";

import { morphChildren } from "../../src/content/morph";
import { randomOf } from "../generate";

const NAMES = ["a", "class", "data-deep", "href", "part", "rel"];

/** A tree with a few elements, whose attributes stand in any order. */
function tree(seed: number): HTMLElement {
  const random = randomOf(seed);
  const grow = (depth: number): HTMLElement => {
    const made = document.createElement(["p", "b", "span"][random(3)]!);
    for (const name of NAMES) if (random(2)) made.setAttribute(NAMES[random(6)]!, name);
    for (let count = random(4); count > 0 && depth < 4; count -= 1) made.append(random(3) ? grow(depth + 1) : "text");
    return made;
  };
  const root = document.createElement("div");
  root.append(grow(0), grow(0));
  return root;
}

it.each(Array.from({ length: 100 }, (_, seed) => seed))("a tree becomes the other one, attributes and their order too: %i", (seed) => {
  const [from, wanted] = [tree(seed), tree(seed + 1000).innerHTML];
  morphChildren(from, tree(seed + 1000));
  expect(from.innerHTML).toBe(wanted);
});

it("keeps a node whose attributes change", () => {
  const [from, to] = [document.createElement("div"), document.createElement("div")];
  from.innerHTML = '<a href="x" target="_blank" part="link">a</a>';
  to.innerHTML = '<a href="y" class="deep" data-deep="y" target="_blank" part="link">a</a>';
  const [link, wanted] = [from.firstChild, to.innerHTML];
  morphChildren(from, to);
  expect(from.firstChild).toBe(link);
  expect(from.innerHTML).toBe(wanted);
});
