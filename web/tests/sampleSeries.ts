/** Series for tests: photographs of one plate, and the result of the server about them. */
import type { Flag, Phenotype, PlateSeries, SeriesPhotograph, SeriesResult, Track } from "../src/api/types";
import { startHistory } from "../src/model/history";
import type { Entry } from "../src/series/seriesRequest";
import { phenotype, plant, root, trait } from "./support";

export const SWAP: Flag = {
  code: "identity_swap",
  message: "the tip of plant 2 is later on the root of plant 1: compare the overlays",
  at: null,
};
export const LATE: Flag = { code: "appeared_late", message: "not on the first photograph", at: null };
export const LOST: Flag = { code: "vanished", message: "not on the last photograph", at: null };
export const SCALE: Flag = {
  code: "scale_inconsistent",
  message: "the scale is 0.1 mm/px, but the plate's width says 0.2 mm/px",
  at: null,
};

/** Return a photograph with a straight primary root for each length; null is a plant that is not detected. */
export function measured(day: number, lengths: readonly (number | null)[]): Phenotype {
  const found = lengths.flatMap((length, index) =>
    length === null ? [] : [{ length, x: 60 + 90 * index, laterals: index + day }],
  );
  const plants = found.map(({ length, x, laterals }, index) => {
    const id = String(index + 1);
    const roots = [
      root(id, null, [
        [x, 40],
        [x, 40 + 10 * length],
      ]),
      root(`${id}.1`, id, [
        [x, 80],
        [x + 20, 90],
      ]),
    ];
    return plant(index + 1, roots, [
      trait("primary_root_length", length, { interval: [length - 0.5, length + 1] }),
      trait("total_root_length", length + 3, { quality: "uncertain" }),
      trait("lateral_root_count", laterals, { unit: "1" }),
    ]);
  });
  const base = phenotype(plants);
  const name = `p7_2023-08-0${day}.png`;
  return { ...base, image: { ...base.image, name, sha256: String(day).repeat(64) } };
}

export function entry(id: number, found: Phenotype, name = found.image.name ?? ""): Entry {
  return {
    id,
    name,
    file: new File(["image"], name, { type: "image/png" }),
    phenotype: found,
    plants: startHistory(found).present,
    time: "",
  };
}

export function timed(
  index: number,
  found: Phenotype,
  more: Partial<SeriesPhotograph> = {},
): SeriesPhotograph {
  return {
    index,
    image: found.image.name ?? "",
    sha256: found.image.sha256,
    time: `2023-08-0${index + 1}T10:30:00+02:00`,
    time_source: "file_name",
    is_time_of_day_known: true,
    days: index,
    mm_per_px: 0.1,
    scale_source: "given",
    origin: "plate_corner",
    plants: found.plants.length,
    flags: [],
    ...more,
  };
}

/** Return a track by its plant number on each photograph; null where it is not seen. */
export function track(id: number, numbers: readonly (number | null)[], more: Partial<Track> = {}): Track {
  return {
    id,
    observations: numbers.flatMap((number, photograph) =>
      number === null
        ? []
        : [{ photograph, plant: number, base: null, tip: null, displacement_mm: null, flags: [] }],
    ),
    growth: [],
    flags: [],
    ...more,
  };
}

export function withFlag(found: Track, photograph: number, flag: Flag): Track {
  return {
    ...found,
    flags: [...found.flags, flag],
    observations: found.observations.map((each) =>
      each.photograph === photograph ? { ...each, flags: [flag] } : each,
    ),
  };
}

export function result(...plates: PlateSeries[]): SeriesResult {
  return { plates, package_version: "0.1.0" };
}

/**
 * Three photographs of three plants. The first plant is on all, the second appears on the second photograph, and the
 * third is lost after it, so plant 2 of each photograph is another one.
 */
export const DAYS = [
  measured(1, [10, null, 8]),
  measured(2, [14, 5, 11]),
  measured(3, [19, 9, null]),
] as const;

export const PLATE: PlateSeries = {
  plate: "p7",
  photographs: [
    timed(0, DAYS[0]),
    timed(1, DAYS[1], { time_source: "exif", days: 1.25 }),
    timed(2, DAYS[2], { time: "2023-08-03", is_time_of_day_known: false, flags: [SCALE] }),
  ],
  tracks: [
    track(1, [1, 1, 1], {
      growth: [
        {
          trait: "primary_root_length",
          scope: "series",
          first_photograph: 0,
          last_photograph: 2,
          days: 2,
          values: 3,
          rate: 4.5,
          interval: [4.1, 4.9],
          unit: "mm/day",
          quality: "ok",
          flags: [],
        },
      ],
    }),
    track(2, [null, 2, 2], { flags: [LATE] }),
    withFlag(track(3, [2, 3, null], { flags: [LOST] }), 1, SWAP),
  ],
  flags: [],
};
