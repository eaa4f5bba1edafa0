/** Places of the boxes and the axis of a boxplot. Positions are user units of the drawing. */
import type { Box } from "./distribution";

export const WIDTH = 720;
export const PLOT = { left: 64, right: WIDTH - 16, top: 44, height: 300 } as const;
const MAX_TICKS = 6;
const GAP = 0.35;
const MAX_BOX_WIDTH = 70;

export interface Axis {
  ticks: number[];
  y: (value: number) => number;
}

/** Return the axis for all values. It starts at 0 if the values are near it, and never cuts a value off. */
export function axisOf(values: readonly number[]): Axis {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low === high)
    [low, high] = [low - Math.max(Math.abs(low), 1) / 2, high + Math.max(Math.abs(high), 1) / 2];
  if (low > 0 && low < 0.5 * high) low = 0;
  const step = stepOf((high - low) / MAX_TICKS);
  const first = Math.floor(low / step + 1e-9);
  const count = Math.max(1, Math.ceil(high / step - 1e-9) - first);
  const ticks = Array.from({ length: count + 1 }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
  const [bottom, top] = [ticks[0] as number, ticks.at(-1) as number];
  return { ticks, y: (value) => PLOT.top + PLOT.height * (1 - (value - bottom) / (top - bottom)) };
}

function stepOf(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return ([1, 2, 2.5, 5, 10].find((digit) => digit * power >= rough * (1 - 1e-9)) as number) * power;
}

export interface Place {
  box: Box;
  centre: number;
  width: number;
}

export interface GroupLabel {
  group: string;
  centre: number;
}

/** Return the place of each box. Boxes of a group are beside each other, with a gap between groups. */
export function placesOf(boxes: readonly Box[]): { places: Place[]; labels: GroupLabel[] } {
  const groups = [...new Set(boxes.map(({ group }) => group))];
  const unit = (PLOT.right - PLOT.left) / (boxes.length + GAP * groups.length);
  const places: Place[] = [];
  const labels: GroupLabel[] = [];
  let left: number = PLOT.left;
  for (const group of groups) {
    const own = boxes.filter((box) => box.group === group);
    left += (GAP / 2) * unit;
    labels.push({ group, centre: left + (own.length * unit) / 2 });
    for (const [index, box] of own.entries())
      places.push({ box, centre: left + (index + 0.5) * unit, width: Math.min(MAX_BOX_WIDTH, 0.72 * unit) });
    left += (own.length + GAP / 2) * unit;
  }
  return { places, labels };
}

/** Return a shift in [-1, 1] for each point, always the same, so that points beside each other can be told apart. */
export function spreadOf(index: number): number {
  const golden = 0.618034;
  return 2 * ((index * golden) % 1) - 1;
}

export function format(position: number): string {
  return position.toFixed(1);
}
