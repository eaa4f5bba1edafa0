/** Axes and paths of the growth curves. Positions are user units of the drawing. */
import type { Curve, CurvePoint } from "./curves";

export const WIDTH = 408;
const PANEL_HEIGHT = 162;
const AXIS_TITLE_HEIGHT = 18;
export const PLOT = { left: 46, right: WIDTH - 24, top: 24, height: 112 } as const;
const HOUR_STEPS = [1, 2, 3, 6, 12, 24, 48, 72, 96, 168, 336, 672];
const MAX_HOUR_TICKS = 7;
const MAX_VALUE_TICKS = 4;
export const POINT_RADIUS = 3.2;
const LABEL_HEIGHT = 10;
/** Largest ratio of the axis to the highest value. */
const MAX_HEADROOM = 1.4;

export function heightOf(panels: number): number {
  return panels * PANEL_HEIGHT + AXIS_TITLE_HEIGHT;
}

export function panelTop(panel: number): number {
  return panel * PANEL_HEIGHT;
}

export interface Axes {
  maxHours: number;
  maxValue: number;
  hourTicks: number[];
  valueTicks: number[];
  x: (hours: number) => number;
  y: (value: number) => number;
}

/** Return the axes of a panel. Both start at 0. A very wide interval is cut off, so that the curves stay readable. */
export function axesOf(curves: readonly Curve[], lastHours: number, isCount: boolean): Axes {
  const points = curves.flatMap((curve) => curve.points);
  const highest = Math.max(0, ...points.map(({ value }) => value));
  const upper = Math.max(0, ...points.map(({ interval }) => interval?.[1] ?? 0));
  const valueTicks = valueTicksTo(Math.max(highest, Math.min(upper, MAX_HEADROOM * highest)), isCount);
  const maxValue = valueTicks.at(-1) as number;
  const maxHours = lastHours > 0 ? lastHours : 1;
  const step = HOUR_STEPS.find((each) => maxHours / each <= MAX_HOUR_TICKS) ?? maxHours / MAX_HOUR_TICKS;
  return {
    maxHours,
    maxValue,
    hourTicks: Array.from({ length: Math.floor(maxHours / step) + 1 }, (_, index) => index * step),
    valueTicks,
    x: (hours) => PLOT.left + (hours / maxHours) * (PLOT.right - PLOT.left),
    y: (value) => PLOT.top + PLOT.height * (1 - Math.max(0, value) / maxValue),
  };
}

function valueTicksTo(max: number, isCount: boolean): number[] {
  const rough = Math.max(max, isCount ? 1 : 1e-3) / MAX_VALUE_TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = (isCount ? [1, 2, 5, 10] : [1, 2, 2.5, 5, 10])
    .map((digit) => digit * power)
    .find((each) => each >= rough) as number;
  const whole = isCount ? Math.max(1, Math.ceil(step)) : step;
  const count = Math.max(1, Math.ceil(max / whole));
  // rounded, so that 3 * 0.1 is written as 0.3
  return Array.from({ length: count + 1 }, (_, index) => Number((index * whole).toPrecision(12)));
}

/** Return the points in groups of photographs that follow each other, with a value on each. */
export function runsOf(points: readonly CurvePoint[]): CurvePoint[][] {
  const runs: CurvePoint[][] = [];
  for (const point of points) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1)?.photograph === point.photograph - 1) run.push(point);
    else runs.push([point]);
  }
  return runs;
}

/** Return the outline of the 90 % intervals of a run; null if none of its points has an interval. */
export function bandOf(run: readonly CurvePoint[], { x, y }: Axes): string | null {
  const bounded = run.flatMap(({ hours, interval }) => (interval === null ? [] : [{ hours, interval }]));
  if (bounded.length === 0) return null;
  const upper = bounded.map(({ hours, interval }) => `${format(x(hours))},${format(y(interval[1]))}`);
  const lower = bounded.map(({ hours, interval }) => `${format(x(hours))},${format(y(interval[0]))}`);
  return `M${[...upper, ...lower.toReversed()].join("L")}Z`;
}

/** Return the heights of the labels, moved apart so that each can be read. */
export function spreadLabels(heights: readonly number[]): number[] {
  const order = heights.map((_, index) => index).sort((a, b) => (heights[a] ?? 0) - (heights[b] ?? 0));
  const spread = [...heights];
  let last = Number.NEGATIVE_INFINITY;
  for (const index of order) {
    last = Math.max(heights[index] ?? 0, last + LABEL_HEIGHT);
    spread[index] = last;
  }
  const excess = Math.max(0, last - (PLOT.top + PLOT.height + LABEL_HEIGHT / 2));
  return spread.map((height) => height - excess);
}

export function format(position: number): string {
  return position.toFixed(1);
}
