/** The wide table of an experiment: one row per plant, with factors and traits. */
import { splitCells } from "../model/design";

/** A trait in one unit. Millimetres and pixels of a trait are two columns, which never share an axis. */
export interface TraitColumn {
  /** Name in the table, such as primary_root_length_mm. */
  column: string;
  trait: string;
  unit: string;
}

export interface PlantRow {
  image: string;
  /** Name of the plate. All photographs of a plate have the same one. */
  plate: string;
  factors: readonly string[];
  models: string;
  /** Values and qualities in the order of the columns. NaN is unknown. */
  values: readonly number[];
  isOk: readonly boolean[];
}

export interface PlantTable {
  factors: readonly string[];
  traits: readonly TraitColumn[];
  rows: readonly PlantRow[];
}

const SUFFIXES = ["", "_low", "_high", "_quality"] as const;
const LAST_OWN_COLUMN = "corrections";
const UNITS: readonly (readonly [string, string])[] = [
  ["_per_mm", "1/mm"],
  ["_per_px", "1/px"],
  ["_mm2", "mm2"],
  ["_px2", "px2"],
  ["_mm", "mm"],
  ["_px", "px"],
  ["_deg", "deg"],
  ["_percent", "%"],
];

/**
 * Parse the table. Factors are the columns between those of thale and those of the traits: a factor may have any name.
 * Rows without a plant, such as those of images that are not measured, are left out.
 */
export function parsePlantTable(text: string): PlantTable {
  const { lines } = splitCells(text.replace(/^\uFEFF/, ""), ",");
  const header = lines[0] ?? [];
  const firstTrait = firstTraitOf(header);
  const firstFactor = header.indexOf(LAST_OWN_COLUMN) + 1;
  if (firstFactor === 0 || firstFactor > firstTrait) return { factors: [], traits: [], rows: [] };
  const traits: TraitColumn[] = [];
  for (let at = firstTrait; at < header.length; at += SUFFIXES.length) traits.push(toTrait(header[at] ?? ""));
  const [image, plate, plant, models] = ["image", "plate_name", "plant", "models"].map((name) =>
    header.indexOf(name),
  ) as [number, number, number, number];
  const rows = lines.slice(1).flatMap((cells): PlantRow[] => {
    if ((cells[plant] ?? "") === "") return [];
    const at = traits.map((_, index) => firstTrait + index * SUFFIXES.length);
    return [
      {
        image: cells[image] ?? "",
        plate: cells[plate] ?? "",
        factors: cells.slice(firstFactor, firstTrait),
        models: cells[models] ?? "",
        values: at.map((index) => toNumber(cells[index])),
        isOk: at.map((index) => cells[index + SUFFIXES.length - 1] === "ok"),
      },
    ];
  });
  return { factors: header.slice(firstFactor, firstTrait), traits, rows };
}

function firstTraitOf(header: readonly string[]): number {
  let at = header.length;
  while (at >= SUFFIXES.length) {
    const start = at - SUFFIXES.length;
    if (!SUFFIXES.every((suffix, index) => header[start + index] === `${header[start]}${suffix}`)) break;
    at = start;
  }
  return at;
}

function toTrait(column: string): TraitColumn {
  const found = UNITS.find(([suffix]) => column.endsWith(suffix));
  if (found === undefined) return { column, trait: column, unit: "" };
  return { column, trait: column.slice(0, -found[0].length), unit: found[1] };
}

/** An empty cell is unknown, not 0. */
function toNumber(cell: string | undefined): number {
  return cell === undefined || cell.trim() === "" ? Number.NaN : Number(cell);
}
