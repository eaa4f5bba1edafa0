/** Order of the review: photographs with the least certain number first. */
import { strings } from "../strings";
import { traitLabel } from "./format";
import { currentPhenotype, type Photograph } from "./photographs";
import { worstTrait } from "./uncertainty";

/** Return the measured photographs, those that are not accepted yet first. The order does not follow corrections. */
export function reviewOrder(photographs: readonly Photograph[]): Photograph[] {
  return photographs
    .filter(({ measured }) => measured !== null)
    .map((photograph) => ({
      photograph,
      score: (photograph.measured && worstTrait(photograph.measured)?.score) ?? 0,
    }))
    .sort(
      (a, b) =>
        Number(a.photograph.accepted) - Number(b.photograph.accepted) ||
        b.score - a.score ||
        a.photograph.id - b.photograph.id,
    )
    .map(({ photograph }) => photograph);
}

export function describeWorst(photograph: Photograph): string {
  if (photograph.accepted) return strings.review.accepted;
  const phenotype = currentPhenotype(photograph);
  const worst = phenotype === null ? null : worstTrait(phenotype);
  if (worst === null || worst.trait.quality === "ok") return strings.review.certain;
  return strings.review.worst(traitLabel(worst.trait.trait).toLowerCase(), worst.plant);
}
