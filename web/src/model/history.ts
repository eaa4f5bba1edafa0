/** Corrections of one photograph, with undo and redo. Each state is immutable and shares its unchanged parts. */
import type { Phenotype, XY } from "../api/types";

export interface EditedRoot {
  id: string;
  /** Identifier of the parent root in the same plant; null for a primary root. */
  parent: string | null;
  points: readonly XY[];
}

export interface EditedPlant {
  id: number;
  /** Number of the plate; null if no plate was found. */
  plate: number | null;
  /** True if a person has checked all roots of the plant. */
  checked: boolean;
  roots: readonly EditedRoot[];
}

export interface History {
  past: readonly (readonly EditedPlant[])[];
  present: readonly EditedPlant[];
  future: readonly (readonly EditedPlant[])[];
  /** The state as measured. */
  origin: readonly EditedPlant[];
}

const MAX_STEPS = 200;

export function startHistory(phenotype: Phenotype): History {
  const origin = phenotype.plants.map((plant) => ({
    id: plant.id,
    plate: plant.plate,
    checked: false,
    roots: plant.roots.map((root) => ({ id: root.id, parent: root.parent, points: root.points as XY[] })),
  }));
  return { past: [], present: origin, future: [], origin };
}

/** Start with the roots as measured, and continue at the roots that a person corrected before. */
export function resumeHistory(phenotype: Phenotype, corrected: readonly EditedPlant[] | null): History {
  const history = startHistory(phenotype);
  return corrected === null ? history : commit(history, corrected);
}

export function commit(history: History, present: readonly EditedPlant[]): History {
  if (present === history.present) return history;
  return { ...history, past: [...history.past, history.present].slice(-MAX_STEPS), present, future: [] };
}

export function undo(history: History): History {
  const previous = history.past.at(-1);
  if (previous === undefined) return history;
  return {
    ...history,
    past: history.past.slice(0, -1),
    present: previous,
    future: [history.present, ...history.future],
  };
}

export function redo(history: History): History {
  const [next, ...future] = history.future;
  return next === undefined
    ? history
    : { ...history, past: [...history.past, history.present], present: next, future };
}

export function isCorrected(history: History): boolean {
  return history.present !== history.origin;
}
