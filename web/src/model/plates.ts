import type { Phenotype, XY } from "../api/types";

/** Return the number of the plate that contains a point, or the nearest one; null if no plate was found. */
export function plateAt(phenotype: Phenotype, [x, y]: XY): number | null {
  let best: { id: number; distance: number } | null = null;
  for (const { id, plate } of phenotype.plates) {
    const centre = plate.corners.reduce(
      (sum, corner) => ({ x: sum.x + corner.x / 4, y: sum.y + corner.y / 4 }),
      { x: 0, y: 0 },
    );
    const distance = Math.hypot(centre.x - x, centre.y - y);
    if (best === null || distance < best.distance) best = { id, distance };
  }
  return best?.id ?? null;
}
