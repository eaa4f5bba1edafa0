/** Growth curves of a plate: the result of the server, joined with the traits of its photographs. */
import type { Flag, PlateSeries, Track, TraitValue } from "../api/types";
import type { Entry } from "./seriesRequest";

export const CURVE_TRAITS = ["primary_root_length", "total_root_length", "lateral_root_count"] as const;
export type CurveTrait = (typeof CURVE_TRAITS)[number];

export interface CurvePoint {
  /** Index of the photograph in the order of time. */
  photograph: number;
  hours: number;
  value: number;
  interval: readonly [number, number] | null;
  unit: string;
  /** Codes of what makes the value doubtful; a quality other than ok is one. */
  doubts: readonly string[];
}

export interface Curve {
  track: number;
  points: readonly CurvePoint[];
}

export interface PlacedFlag {
  flag: Flag;
  /** Index of the photograph that the flag is about; null for the whole series. */
  photograph: number | null;
}

/** Flags of a photograph or of an identity that make a value doubtful, and not only a growth rate. */
const DOUBTS = new Set([
  "identity_ambiguous",
  "identity_swap",
  "path_changed",
  "positions_disagree",
  "no_plate_edge",
  "scale_inconsistent",
  "scale_unconfirmed",
]);
/** Flags of photographs that concern each plant on them. */
const PHOTOGRAPH_CODES = new Set([
  "scale_changed",
  "scale_inconsistent",
  "scale_unconfirmed",
  "positions_disagree",
]);

export function hoursOf(plate: PlateSeries, photograph: number): number {
  return (plate.photographs[photograph]?.days ?? 0) * 24;
}

/** Return one curve for each plant. A photograph on which the value is unknown has no point. */
export function curvesOf(
  plate: PlateSeries,
  entries: readonly (Entry | undefined)[],
  trait: CurveTrait,
): Curve[] {
  return plate.tracks.map((track) => ({
    track: track.id,
    points: track.observations.flatMap((observation): CurvePoint[] => {
      const value = traitOf(entries[observation.photograph], observation.plant, trait);
      if (value?.value === null || value?.value === undefined || !isComparable(value)) return [];
      const photograph = plate.photographs[observation.photograph];
      const flags = [...observation.flags, ...(photograph?.flags ?? [])];
      const doubts = new Set(flags.map(({ code }) => code).filter((code) => DOUBTS.has(code)));
      if (shrinks(track, trait, observation.photograph)) doubts.add("root_shrinks");
      if (value.quality !== "ok") doubts.add(value.quality);
      return [
        {
          photograph: observation.photograph,
          hours: hoursOf(plate, observation.photograph),
          value: value.value,
          interval: value.interval as [number, number] | null,
          unit: value.unit,
          doubts: [...doubts],
        },
      ];
    }),
  }));
}

/** Return the plant number of a track on a photograph; null if the plant is not seen there. */
export function plantOn(track: Track, photograph: number): number | null {
  return track.observations.find((each) => each.photograph === photograph)?.plant ?? null;
}

/** Return the remarks about a plant with their photographs, each once. */
export function flagsOf(plate: PlateSeries, track: Track): PlacedFlag[] {
  const found: PlacedFlag[] = track.flags.map((flag) => ({ flag, photograph: placeOf(track, flag) }));
  for (const { photograph } of track.observations)
    for (const flag of plate.photographs[photograph]?.flags ?? [])
      if (PHOTOGRAPH_CODES.has(flag.code)) found.push({ flag, photograph });
  const byText = new Map(found.map((each) => [`${each.flag.code} ${each.flag.message}`, each]));
  return [...byText.values()];
}

function placeOf(track: Track, flag: Flag): number | null {
  const has = (flags: readonly Flag[]) =>
    flags.some((each) => each.code === flag.code && each.message === flag.message);
  const observation = track.observations.find(({ flags }) => has(flags));
  const rate = track.growth.find(({ scope, flags }) => scope === "interval" && has(flags));
  return observation?.photograph ?? rate?.last_photograph ?? null;
}

function shrinks(track: Track, trait: CurveTrait, photograph: number): boolean {
  return track.growth.some(
    (rate) =>
      rate.trait === trait &&
      rate.scope === "interval" &&
      rate.last_photograph === photograph &&
      rate.flags.some(({ code }) => code === "root_shrinks"),
  );
}

function traitOf(entry: Entry | undefined, plant: number, trait: CurveTrait): TraitValue | undefined {
  return entry?.phenotype.plants.find(({ id }) => id === plant)?.traits.find((each) => each.trait === trait);
}

/** A length in pixels is on no axis in millimetres. */
function isComparable({ unit, value }: TraitValue): boolean {
  return (unit === "mm" || unit === "1") && Number.isFinite(value);
}
