/** `<ck-chart>`: bars, areas and lines as SVG, with a table for those who do not see them. A chunk of its own. */

import { css, html, nothing, svg, type PropertyValues, type SVGTemplateResult, type TemplateResult } from "lit";

import type { ContentHost } from "../contracts";
import { defaultHost } from "../content/strings";
import { base, token } from "../content/tokens";
import { seriesColor } from "./colors";
import { curvePath, niceTicks, type Point, readNumber, runs, stackValues } from "./scales";
import { type Dict, isDict, oneOf, text, type WidgetNode } from "./types";
import { styled } from "../content/styled";
import { StyledElement } from "../content/styledElement";

interface Series {
  readonly kind: "bar" | "area" | "line";
  readonly key: string;
  readonly label: string;
  readonly stack: string | null;
  readonly curve: string;
  readonly color: string;
}

interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Series of a chart, and their values together; of more data, every second or third row is shown, or fewer. */
const MOST_SERIES = 24;
const MOST_VALUES = 2_000;

function readSeries(value: unknown): Series[] {
  return (Array.isArray(value) ? value : []).filter(isDict).slice(0, MOST_SERIES).map((one, place) => ({
    kind: oneOf(one["type"], ["bar", "area", "line"], "bar"),
    key: text(one["dataKey"]),
    label: text(one["label"]) || text(one["dataKey"]),
    stack: text(one["stack"]) || null,
    curve: text(one["curveType"]) || "natural",
    color: seriesColor(one["color"], place),
  }));
}

/** Shows a Chart component. */
export class CkChart extends StyledElement {
  static override properties = {
    chart: { attribute: false },
    host: { attribute: false },
    width: { state: true },
    height: { state: true },
    hovered: { state: true },
  };
  static override styles = [
    base,
    css`
      :host {
        position: relative;
        inline-size: 100%;
        block-size: 100%;
        min-block-size: 8em;
        display: flex;
        flex-direction: column;
        gap: calc(${token.space} * 2);
      }
      .plot {
        position: relative;
        flex: 1;
        min-block-size: 0;
      }
      svg {
        position: absolute;
        inset: 0;
        inline-size: 100%;
        block-size: 100%;
        overflow: visible;
        direction: ltr;
      }
      text {
        fill: ${token.muted};
        font-size: 11px;
        font-variant-numeric: tabular-nums;
      }
      .grid {
        stroke: ${token.border};
        stroke-width: 1;
        shape-rendering: crispEdges;
      }
      .cursor {
        fill: ${token.text};
        opacity: 0.06;
      }
      .line {
        fill: none;
        stroke-width: 2;
        stroke-linecap: round;
        stroke-linejoin: round;
      }
      .area {
        fill-opacity: 0.18;
      }
      .point {
        stroke: ${token.raised};
        stroke-width: 2;
      }
      .legend {
        display: flex;
        flex-wrap: wrap;
        justify-content: center;
        gap: ${token.space} calc(${token.space} * 4);
        margin: 0;
        padding: 0;
        color: ${token.muted};
        font-size: 0.78rem;
        list-style: none;
      }
      .legend li,
      .tip-row {
        display: flex;
        align-items: center;
        gap: calc(${token.space} * 1.5);
      }
      .swatch {
        inline-size: 0.7em;
        block-size: 0.7em;
        border-radius: 3px;
        flex: none;
      }
      .tip {
        position: absolute;
        inset-block-start: 0;
        z-index: 1;
        min-inline-size: 8em;
        max-inline-size: 80%;
        padding: calc(${token.space} * 2) calc(${token.space} * 2.5);
        border: 1px solid ${token.border};
        border-radius: calc(${token.radius} * 0.75);
        background: ${token.raised};
        box-shadow: ${token.shadow};
        font-size: 0.78rem;
        pointer-events: none;
      }
      .tip-title {
        margin-block-end: ${token.space};
        font-weight: 600;
      }
      .tip-value {
        margin-inline-start: auto;
        padding-inline-start: calc(${token.space} * 3);
        font-variant-numeric: tabular-nums;
        font-weight: 500;
      }
      .plot:focus-visible {
        outline: ${token.focus};
        outline-offset: 2px;
        border-radius: 4px;
      }
    `,
  ];
  declare chart: WidgetNode;
  declare host: ContentHost | null;
  declare width: number;
  declare height: number;
  declare hovered: number;

  #observer: ResizeObserver | null = null;

  constructor() {
    super();
    this.chart = { type: "Chart" };
    this.host = null;
    this.width = 320;
    this.height = 180;
    this.hovered = -1;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#observer?.disconnect();
    this.#observer = null;
  }

  protected override updated(_changed: PropertyValues<this>): void {
    const plot = this.renderRoot.querySelector(".plot");
    if (this.#observer || !plot || typeof ResizeObserver === "undefined") return;
    this.#observer = new ResizeObserver(([entry]) => {
      this.width = Math.max(80, entry!.contentRect.width);
      this.height = Math.max(60, entry!.contentRect.height);
    });
    this.#observer.observe(plot);
  }

  get #rows(): Dict[] {
    const rows = (Array.isArray(this.chart["data"]) ? this.chart["data"] : []).filter(isDict);
    const step = Math.ceil(rows.length / Math.floor(MOST_VALUES / Math.max(1, readSeries(this.chart["series"]).length)));
    return step > 1 ? rows.filter((_, place) => place % step === 0) : rows;
  }

  #xAxis(): { key: string; hide: boolean; label: (row: Dict) => string } {
    const axis = this.chart["xAxis"];
    const config: Dict = isDict(axis) ? axis : {};
    const key = isDict(axis) ? text(axis["dataKey"]) : text(axis);
    const names: Dict = isDict(config["labels"]) ? config["labels"] : {};
    const label = (row: Dict): string => {
      const value = text(row[key]);
      return Object.hasOwn(names, value) ? text(names[value]) : value;
    };
    return { key, hide: config["hide"] === true, label };
  }

  #format(value: number): string {
    const { locale } = this.host ?? defaultHost;
    const compact = Math.abs(value) >= 10_000;
    return new Intl.NumberFormat(locale, compact ? { notation: "compact", maximumFractionDigits: 1 } : { maximumFractionDigits: 2 }).format(value);
  }

  #pick(event: PointerEvent, frame: Frame, count: number): void {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const inside = (event.clientX - box.left - frame.left) / Math.max(1, frame.right - frame.left);
    this.hovered = count > 0 && inside >= 0 && inside <= 1 ? Math.min(count - 1, Math.floor(inside * count)) : -1;
  }

  #key(event: KeyboardEvent, count: number): void {
    if (event.key === "Escape") this.hovered = -1;
    else if (event.key === "ArrowRight") this.hovered = Math.min(count - 1, this.hovered + 1);
    else if (event.key === "ArrowLeft") this.hovered = Math.max(0, this.hovered - 1);
    else return;
    event.preventDefault();
  }

  #bars(series: readonly Series[], values: readonly (Point | null)[][], band: number, frame: Frame, y: (value: number) => number): SVGTemplateResult[] {
    const groups = [...new Set(series.filter((one) => one.kind === "bar").map((one) => one.stack ?? `= ${one.key}`))];
    if (groups.length === 0) return [];
    const between = readNumber(this.chart["barCategoryGap"]) ?? Math.min(24, band * 0.3);
    const gap = readNumber(this.chart["barGap"]) ?? 3;
    const width = Math.max(1, Math.min(56, (band - between - gap * (groups.length - 1)) / groups.length));
    const whole = width * groups.length + gap * (groups.length - 1);
    return series.flatMap((one, index) => {
      if (one.kind !== "bar") return [];
      const group = groups.indexOf(one.stack ?? `= ${one.key}`);
      const last = one.stack === null || !series.slice(index + 1).some((other) => other.kind === "bar" && other.stack === one.stack);
      return values[index]!.map((value, place) => {
        if (value === null) return svg``;
        const x = frame.left + band * (place + 0.5) - whole / 2 + group * (width + gap);
        const [from, to] = [y(value[0]), y(value[1])];
        const height = Math.abs(from - to);
        const round = last ? Math.min(4, width / 2, height) : 0;
        const up = to <= from;
        const base = from;
        const end = to;
        const bend = up ? round : -round;
        const path = `M${x},${base}V${end + bend}Q${x},${end} ${x + round},${end}H${x + width - round}Q${x + width},${end} ${x + width},${end + bend}V${base}Z`;
        return svg`<path d=${path} style=${styled({ fill: one.color })} />`;
      });
    });
  }

  #curves(series: readonly Series[], values: readonly (Point | null)[][], x: (place: number) => number, y: (value: number) => number): SVGTemplateResult[] {
    return series.flatMap((one, index) => {
      if (one.kind === "bar") return [];
      return runs(values[index]!).map(({ start, values: run }) => {
        const upper = run.map((value, place) => [x(start + place), y(value[1])] as Point);
        const line = curvePath(upper, one.curve);
        const lower = run.map((value, place) => [x(start + place), y(value[0])] as Point).toReversed();
        const alone = run.length === 1 ? svg`<circle class="point" cx=${upper[0]![0]} cy=${upper[0]![1]} r="4" style=${styled({ fill: one.color })} />` : nothing;
        const area = one.kind === "area" ? svg`<path class="area" d="${line}L${curvePath(lower, one.curve).slice(1)}Z" style=${styled({ fill: one.color })} />` : nothing;
        return svg`${area}<path class="line" d=${line} style=${styled({ stroke: one.color })} />${alone}`;
      });
    });
  }

  #labels(rows: readonly Dict[], label: (row: Dict) => string, x: (place: number) => number, band: number): SVGTemplateResult[] {
    const longest = Math.max(1, ...rows.map((row) => Math.min(14, label(row).length)));
    const every = Math.max(1, Math.ceil((longest * 6.4 + 10) / band));
    return rows.flatMap((row, place) => {
      if (place % every !== 0) return [];
      const name = label(row);
      return [svg`<text x=${x(place)} y=${this.height - 4} text-anchor="middle">${name.length > 14 ? `${name.slice(0, 13)}…` : name}</text>`];
    });
  }

  #tip(series: readonly Series[], rows: readonly Dict[], label: (row: Dict) => string, x: (place: number) => number): TemplateResult | typeof nothing {
    const row = rows[this.hovered];
    if (!row || this.chart["showTooltip"] === false) return nothing;
    const place = x(this.hovered);
    const before = place > this.width / 2;
    const styles = before ? { right: `${this.width - place + 10}px` } : { left: `${place + 10}px` };
    return html`<div class="tip" style=${styled(styles)} role="status">
      <div class="tip-title" dir="auto">${label(row)}</div>
      ${series.map((one) => {
        const value = readNumber(row[one.key]);
        return html`<div class="tip-row">
          <span class="swatch" style=${styled({ background: one.color })}></span><span dir="auto">${one.label}</span>
          <span class="tip-value">${value === null ? "–" : this.#format(value)}</span>
        </div>`;
      })}
    </div>`;
  }

  #table(series: readonly Series[], rows: readonly Dict[], label: (row: Dict) => string): TemplateResult {
    const { translate } = this.host ?? defaultHost;
    return html`<table class="visually-hidden">
      <caption>
        ${translate("widget.chartTable")}
      </caption>
      <thead>
        <tr>
          <th scope="col">${this.#xAxis().key}</th>
          ${series.map((one) => html`<th scope="col">${one.label}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr>
            <th scope="row">${label(row)}</th>
            ${series.map((one) => html`<td>${text(row[one.key])}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>`;
  }

  protected override render(): TemplateResult {
    const { translate } = this.host ?? defaultHost;
    const rows = this.#rows;
    const series = readSeries(this.chart["series"]);
    const axis = this.#xAxis();
    const values = stackValues(
      series.map((one) => ({ key: one.key, stack: one.stack === null ? null : `${one.kind} ${one.stack}` })),
      rows,
    );
    const ends = values.flat().flatMap((value) => (value === null ? [] : [value[0], value[1]]));
    const ticks = niceTicks(Math.min(0, ...ends), Math.max(0, ...ends), Math.max(3, Math.min(6, Math.floor(this.height / 36))));
    const withY = this.chart["showYAxis"] === true;
    const widest = Math.max(...ticks.map((tick) => this.#format(tick).length));
    const frame: Frame = { left: withY ? widest * 6.6 + 10 : 2, right: this.width - 2, top: 8, bottom: this.height - (axis.hide ? 4 : 22) };
    const [low, high] = [ticks[0]!, ticks.at(-1)!];
    const y = (value: number): number => frame.bottom - ((value - low) / (high - low || 1)) * (frame.bottom - frame.top);
    const band = (frame.right - frame.left) / Math.max(1, rows.length);
    const x = (place: number): number => frame.left + band * (place + 0.5);
    const hovered = this.hovered >= 0 && this.hovered < rows.length && this.chart["showTooltip"] !== false;
    return html`<div
        class="plot"
        tabindex="0"
        role="img"
        aria-label="${translate("widget.chart")}: ${series.map((one) => one.label).join(", ")}"
        @pointermove=${(event: PointerEvent) => this.#pick(event, frame, rows.length)}
        @pointerleave=${() => {
          this.hovered = -1;
        }}
        @blur=${() => {
          this.hovered = -1;
        }}
        @keydown=${(event: KeyboardEvent) => this.#key(event, rows.length)}
      >
        <svg viewBox="0 0 ${this.width} ${this.height}" aria-hidden="true">
          ${hovered ? svg`<rect class="cursor" x=${x(this.hovered) - band / 2} y=${frame.top} width=${band} height=${frame.bottom - frame.top} rx="4" />` : nothing}
          ${ticks.map((tick) => svg`<line class="grid" x1=${frame.left} x2=${frame.right} y1=${Math.round(y(tick)) + 0.5} y2=${Math.round(y(tick)) + 0.5} />`)}
          ${withY ? ticks.map((tick) => svg`<text x=${frame.left - 8} y=${y(tick) + 4} text-anchor="end">${this.#format(tick)}</text>`) : nothing}
          ${this.#bars(series, values, band, frame, y)}${this.#curves(series, values, x, y)}
          ${hovered ? series.map((one, index) => {
            const value = values[index]![this.hovered];
            return one.kind === "bar" || !value ? nothing : svg`<circle class="point" cx=${x(this.hovered)} cy=${y(value[1])} r="4.5" style=${styled({ fill: one.color })} />`;
          }) : nothing}
          ${axis.hide ? nothing : this.#labels(rows, axis.label, x, band)}
        </svg>
        ${this.#tip(series, rows, axis.label, x)}
      </div>
      ${this.chart["showLegend"] === false
        ? nothing
        : html`<ul class="legend">
            ${series.map((one) => html`<li><span class="swatch" style=${styled({ background: one.color })}></span><span dir="auto">${one.label}</span></li>`)}
          </ul>`}
      ${this.#table(series, rows, axis.label)}`;
  }
}

if (!customElements.get("ck-chart")) customElements.define("ck-chart", CkChart);
