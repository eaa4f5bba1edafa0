/** Groups of values with their quartiles, as a boxplot shows them. */
import type { PlantTable } from "./plantTable";

export interface Observation {
  value: number;
  isOk: boolean;
  plate: string;
  /** Name of the image, or of the plate if the value is that of a plate. */
  name: string;
}

export interface Box {
  /** Level of the factor, and of the second factor if there is one. */
  group: string;
  subgroup: string | null;
  observations: readonly Observation[];
  plates: number;
  doubtful: number;
  summary: Summary;
}

export interface Summary {
  low: number;
  q1: number;
  median: number;
  q3: number;
  high: number;
}

export interface Choice {
  /** Index of the trait in the table. */
  trait: number;
  /** Index of a factor; null is one group of all plants. */
  factor: number | null;
  /** Index of a second factor, by which each group is divided. */
  second: number | null;
  /** Leave out values that are not `ok`. */
  onlyOk: boolean;
  /** One value per plate, the median of its plants, because plants of a plate are not independent. */
  byPlate: boolean;
}

const WHISKER = 1.5;
const order = new Intl.Collator("en", { numeric: true });

/** Return one box for each group with a value, in natural order. An unknown value is in no group. */
export function distribute(table: PlantTable, choice: Choice): Box[] {
  const groups = new Map<string, { keys: [string, string | null]; observations: Observation[] }>();
  for (const row of table.rows) {
    const value = row.values[choice.trait] as number;
    const isOk = row.isOk[choice.trait] as boolean;
    if (!Number.isFinite(value) || (choice.onlyOk && !isOk)) continue;
    const group = choice.factor === null ? "" : (row.factors[choice.factor] ?? "");
    const subgroup = choice.second === null ? null : (row.factors[choice.second] ?? "");
    const key = JSON.stringify([group, subgroup]);
    const found = groups.get(key) ?? { keys: [group, subgroup], observations: [] };
    found.observations.push({ value, isOk, plate: row.plate, name: row.image });
    groups.set(key, found);
  }
  return [...groups.values()]
    .map(({ keys: [group, subgroup], observations }) => toBox(group, subgroup, observations, choice.byPlate))
    .sort((a, b) => order.compare(a.group, b.group) || order.compare(a.subgroup ?? "", b.subgroup ?? ""));
}

function toBox(
  group: string,
  subgroup: string | null,
  values: readonly Observation[],
  byPlate: boolean,
): Box {
  const observations = byPlate ? plateMedians(values) : values;
  return {
    group,
    subgroup,
    observations,
    plates: new Set(values.map(({ plate }) => plate)).size,
    doubtful: observations.filter(({ isOk }) => !isOk).length,
    summary: summarise(observations.map(({ value }) => value)),
  };
}

function plateMedians(values: readonly Observation[]): Observation[] {
  const plates = new Map<string, Observation[]>();
  for (const value of values) {
    const own = plates.get(value.plate);
    if (own === undefined) plates.set(value.plate, [value]);
    else own.push(value);
  }
  return [...plates].map(([plate, own]) => ({
    value: summarise(own.map(({ value }) => value)).median,
    isOk: own.every(({ isOk }) => isOk),
    plate,
    name: plate,
  }));
}

/** Return the median, the quartiles, and the farthest values within 1.5 interquartile ranges of them. */
export function summarise(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b);
  const [q1, median, q3] = [0.25, 0.5, 0.75].map((share) => quantile(sorted, share)) as [
    number,
    number,
    number,
  ];
  const reach = WHISKER * (q3 - q1);
  return {
    // between quartiles that are interpolated, no value may be left: the whisker then ends at the box
    low: Math.min(q1, sorted.find((value) => value >= q1 - reach) ?? q1),
    q1,
    median,
    q3,
    high: Math.max(q3, sorted.findLast((value) => value <= q3 + reach) ?? q3),
  };
}

/** Type 7 of Hyndman and Fan (1996), as in R and NumPy. */
function quantile(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)] as number;
  const above = sorted[Math.ceil(position)] as number;
  return below + (position - Math.floor(position)) * (above - below);
}
