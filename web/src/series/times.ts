/** Times of photographs as text. */
import type { SeriesPhotograph } from "../api/types";
import { strings } from "../strings";

/** Return a time of the server to the minute, with its offset if it has one: 2023-08-08 10:30 +02:00. */
export function formatTime({ time, is_time_of_day_known: isKnown }: SeriesPhotograph): string {
  const [, date = time, clock = "", offset = ""] =
    /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)[:.\d]*)?(Z|[+-]\d\d:\d\d)?$/.exec(time) ?? [];
  if (!isKnown) return `${date} (${strings.series.dateOnly})`;
  return [date, clock, offset === "Z" ? "+00:00" : offset].filter((part) => part !== "").join(" ");
}

/** Return a time with its source. */
export function describeTime(photograph: SeriesPhotograph): string {
  return `${formatTime(photograph)}, ${strings.series.sources[photograph.time_source]}`;
}
