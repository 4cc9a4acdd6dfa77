/** Numbers of charts: ticks, stacks, curves. */

export type Point = readonly [number, number];

/** Round values that cover a range, about `count` of them. */
export function niceTicks(low: number, high: number, count = 5): number[] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  const top = high === low ? low + (low === 0 ? 1 : Math.abs(low)) : high;
  const rough = (top - low) / Math.max(1, count - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = [1, 2, 2.5, 5, 10].find((step) => step * power >= rough * 0.999) ?? 10;
  const step = unit * power;
  const first = Math.floor(low / step);
  const last = Math.ceil(top / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * step).toPrecision(12)));
}

export interface Layer {
  readonly key: string;
  readonly stack: string | null;
}

/** For each series the lower and upper end at each place; series of one stack stand on each other, by sign. */
export function stackValues(layers: readonly Layer[], rows: readonly Readonly<Record<string, unknown>>[]): (Point | null)[][] {
  const sums = rows.map(() => new Map<string, number>());
  return layers.map((layer) =>
    rows.map((row, place) => {
      const value = readNumber(row[layer.key]);
      if (value === null) return null;
      if (layer.stack === null) return [0, value] as const;
      const key = `${layer.stack} ${value < 0 ? "-" : "+"}`;
      const from = sums[place]!.get(key) ?? 0;
      sums[place]!.set(key, from + value);
      return [from, from + value] as const;
    }),
  );
}

export function readNumber(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value !== "string" || value.trim() === "") return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

const at = (value: number): string => String(Math.round(value * 100) / 100);
const pair = ([x, y]: Point): string => `${at(x)},${at(y)}`;

/** Slopes that never overshoot (Fritsch and Carlson), for monotone curves. */
function monotoneSlopes(points: readonly Point[]): number[] {
  const secants = points.slice(1).map((point, place) => (point[1] - points[place]![1]) / (point[0] - points[place]![0] || 1));
  const slopes = points.map((_, place) => {
    const before = secants[place - 1] ?? secants[0] ?? 0;
    const after = secants[place] ?? before;
    return before * after <= 0 ? 0 : (before + after) / 2;
  });
  for (const [place, secant] of secants.entries()) {
    if (secant === 0) {
      slopes[place] = 0;
      slopes[place + 1] = 0;
      continue;
    }
    const size = Math.hypot(slopes[place]! / secant, slopes[place + 1]! / secant);
    if (size > 3) {
      slopes[place] = (slopes[place]! * 3) / size;
      slopes[place + 1] = (slopes[place + 1]! * 3) / size;
    }
  }
  return slopes;
}

/** SVG path through points in the manner of a curve type; kinds without a drawing of their own are monotone. */
export function curvePath(points: readonly Point[], curve: string): string {
  if (points.length === 0) return "";
  const [first, ...rest] = points as [Point, ...Point[]];
  const start = `M${pair(first)}`;
  if (curve === "linear" || points.length < 3) {
    return start + rest.map((point) => `L${pair(point)}`).join("") + (curve === "linearClosed" ? "Z" : "");
  }
  if (curve.startsWith("step")) {
    const share = curve === "stepBefore" ? 0 : curve === "stepAfter" ? 1 : 0.5;
    return start + rest.map((point, place) => `H${at(points[place]![0] + (point[0] - points[place]![0]) * share)}V${at(point[1])}H${at(point[0])}`).join("");
  }
  if (curve.startsWith("bump")) {
    return (
      start +
      rest
        .map((point, place) => {
          const middle = (points[place]![0] + point[0]) / 2;
          return `C${at(middle)},${at(points[place]![1])} ${at(middle)},${at(point[1])} ${pair(point)}`;
        })
        .join("")
    );
  }
  const slopes = monotoneSlopes(points);
  return (
    start +
    rest
      .map((point, place) => {
        const from = points[place]!;
        const third = (point[0] - from[0]) / 3;
        return `C${at(from[0] + third)},${at(from[1] + slopes[place]! * third)} ${at(point[0] - third)},${at(point[1] - slopes[place + 1]! * third)} ${pair(point)}`;
      })
      .join("")
  );
}

/** Cuts a series where values are missing. */
export function runs<Value>(values: readonly (Value | null)[]): { readonly start: number; readonly values: readonly Value[] }[] {
  const found: { start: number; values: Value[] }[] = [];
  for (const [place, value] of values.entries()) {
    if (value === null) continue;
    const last = found.at(-1);
    if (last && last.start + last.values.length === place) last.values.push(value);
    else found.push({ start: place, values: [value] });
  }
  return found;
}
