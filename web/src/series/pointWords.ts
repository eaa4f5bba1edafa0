/** Values of the curves in words. */
import { formatNumber, formatUnit } from "../model/format";
import { strings } from "../strings";
import type { CurvePoint } from "./curves";

/** Return a value in words: the number, its interval, and what makes it doubtful. */
export function describePoint(track: number, { hours, value, interval, unit, doubts }: CurvePoint): string {
  const text = `${formatNumber(value, unit)} ${formatUnit(unit)}`.trim();
  const bounds = interval === null ? "" : interval.map((bound) => formatNumber(bound, unit)).join(" – ");
  return [strings.series.point(track, formatHours(hours), text, bounds), ...doubts.map(doubtWords)].join(
    ", ",
  );
}

export function doubtWords(code: string): string {
  const qualities = strings.table.qualities as Record<string, string>;
  return strings.series.flagWords[code] ?? qualities[code] ?? code.replaceAll("_", " ");
}

export function formatHours(hours: number): string {
  return String(Math.round(hours * 10) / 10);
}
