/** Phenotypes for tests. */
import type { Phenotype, Plant, Root, TraitValue, XY } from "../src/api/types";

export function root(id: string, parent: string | null, points: XY[]): Root {
  return {
    id,
    parent,
    points,
    order: parent === null ? 1 : 2,
    length_px: 100,
    confidence: 0.9,
    diameter_px: 4,
    insertion_angle_deg: null,
    flags: [],
  };
}

export function trait(name: string, value: number | null, more: Partial<TraitValue> = {}): TraitValue {
  return {
    trait: name,
    value,
    interval: null,
    unit: "mm",
    ontology_id: null,
    ontology_relation: null,
    ontology_qualifier: null,
    quality: value === null ? "unknown" : "ok",
    flags: [],
    ...more,
  };
}

export function plant(
  id: number,
  roots: Root[],
  traits: TraitValue[] = [],
  more: Partial<Plant> = {},
): Plant {
  return { id, plate: 1, organs: [], landmarks: [], roots, traits, flags: [], ...more };
}

export function phenotype(plants: Plant[], more: Partial<Phenotype> = {}): Phenotype {
  return {
    image: {
      width: 400,
      height: 300,
      format: "PNG",
      mode: "RGB",
      bits: 8,
      pages: 1,
      exif_orientation: 1,
      size_bytes: 1000,
      sha256: "ab".repeat(32),
      name: "plate.png",
      jpeg_quality: null,
    },
    rotate: 0,
    scale: { mm_per_px: 0.1, source: "given", plate_width_mm: null },
    plate: null,
    plates: [],
    plants,
    traits: [],
    flags: [],
    provenance: {
      models: [],
      config_digest: "",
      package_version: "0.1.0",
      created: "2026-03-01T12:00:00+00:00",
    },
    timings: { segment_s: 1, landmarks_s: 1, plants_s: 1, total_s: 3 },
    ...more,
  };
}

/** A seedling with a straight primary root and one lateral. */
export function seedling(id = 1, x = 100): Plant {
  return plant(
    id,
    [
      root(String(id), null, [
        [x, 50],
        [x, 150],
        [x, 250],
      ]),
      root(`${id}.1`, String(id), [
        [x, 150],
        [x + 30, 190],
      ]),
    ],
    [trait("primary_root_length", 20), trait("lateral_root_count", 1, { unit: "1" })],
  );
}
