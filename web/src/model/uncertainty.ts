/** How uncertain the numbers of a photograph are, for the order of the review. */
import type { Phenotype, TraitValue } from "../api/types";

export interface WorstTrait {
  plant: number;
  trait: TraitValue;
  /** 3 for an unknown value, 2 to 3 for an uncertain one, 0 to 1 for a certain one. Wider intervals score higher. */
  score: number;
}

/** Traits that a person can correct by moving roots. Shoot traits are always uncertain, and would hide the others. */
const REVIEWED = new Set([
  "primary_root_length",
  "total_root_length",
  "lateral_root_count",
  "lateral_root_length",
  "lateral_density",
  "primary_root_angle",
]);

/** Return the least certain number of a photograph; null if it has no plant. */
export function worstTrait(phenotype: Phenotype): WorstTrait | null {
  let worst: WorstTrait | null = null;
  for (const plant of phenotype.plants) {
    if (plant.flags.some((flag) => flag.code === "ungerminated")) continue; // its traits are unknown, not uncertain
    for (const trait of plant.traits) {
      if (!REVIEWED.has(trait.trait)) continue;
      const score = scoreOf(trait);
      if (worst === null || score > worst.score) worst = { plant: plant.id, trait, score };
    }
  }
  return worst;
}

function scoreOf(trait: TraitValue): number {
  if (trait.quality === "unknown" || trait.value === null) return 3;
  const width = trait.interval === null ? 0 : (trait.interval[1] as number) - (trait.interval[0] as number);
  const relative = width / Math.max(Math.abs(trait.value), 1e-9);
  const share = Math.min(relative, 99) / (1 + Math.min(relative, 99));
  return trait.quality === "uncertain" ? 2 + share : share;
}
