/** The queue of photographs and its state transitions. */
import type { Phenotype } from "../api/types";
import { type EditedPlant, type History, isCorrected } from "./history";

export type Status =
  | { kind: "waiting" }
  | { kind: "uploading"; share: number }
  | { kind: "measuring" }
  | { kind: "measured" }
  | { kind: "failed"; title: string; message: string };

export interface Photograph {
  id: number;
  file: File;
  name: string;
  status: Status;
  /** Object URL of a small picture; null until it is drawn, or if the browser cannot read the format. */
  thumbnail: string | null;
  measured: Phenotype | null;
  /** Result of the server for the corrected roots; null while there is no correction. */
  corrected: Phenotype | null;
  history: History | null;
  /** State of the request for the traits of the corrected roots. */
  traits: { isComputing: boolean; error: string | null };
  accepted: boolean;
  /** The measurement of the server and its roots as stored last; null if the photograph is in no experiment. */
  stored: { measurementId: string; plants: readonly EditedPlant[] } | null;
}

export type Action =
  | { kind: "add"; files: File[] }
  | { kind: "open"; file: File; phenotype: Phenotype; history: History; measurementId: string }
  | { kind: "saved"; id: number; plants: readonly EditedPlant[] }
  | { kind: "status"; id: number; status: Status }
  | { kind: "thumbnail"; id: number; url: string }
  | { kind: "measured"; id: number; phenotype: Phenotype; history: History }
  | { kind: "history"; id: number; history: History }
  | { kind: "computing"; id: number; error: string | null }
  | { kind: "corrected"; id: number; phenotype: Phenotype | null }
  | { kind: "accept"; id: number; accepted: boolean }
  | { kind: "remove"; id: number };

const IDLE = { isComputing: false, error: null };

export function photographsReducer(
  photographs: readonly Photograph[],
  action: Action,
): readonly Photograph[] {
  if (action.kind === "add") {
    const next = photographs.reduce((max, photograph) => Math.max(max, photograph.id), 0) + 1;
    return [...photographs, ...action.files.map((file, index) => create(next + index, file))];
  }
  if (action.kind === "open") {
    const next = photographs.reduce((max, photograph) => Math.max(max, photograph.id), 0) + 1;
    const { file, phenotype, history, measurementId } = action;
    return [
      ...photographs,
      {
        ...create(next, file),
        status: { kind: "measured" },
        measured: phenotype,
        history,
        stored: { measurementId, plants: history.present },
      },
    ];
  }
  if (action.kind === "remove") return photographs.filter((photograph) => photograph.id !== action.id);
  return photographs.map((photograph) =>
    photograph.id === action.id ? update(photograph, action) : photograph,
  );
}

function create(id: number, file: File): Photograph {
  return {
    id,
    file,
    name: file.name,
    status: { kind: "waiting" },
    thumbnail: null,
    measured: null,
    corrected: null,
    history: null,
    traits: IDLE,
    accepted: false,
    stored: null,
  };
}

function update(
  photograph: Photograph,
  action: Exclude<Action, { kind: "add" | "open" | "remove" }>,
): Photograph {
  switch (action.kind) {
    case "status":
      return { ...photograph, status: action.status };
    case "thumbnail":
      return { ...photograph, thumbnail: action.url };
    case "measured":
      return {
        ...photograph,
        status: { kind: "measured" },
        measured: action.phenotype,
        corrected: null,
        history: action.history,
        accepted: false,
      };
    case "history":
      return { ...photograph, history: action.history, accepted: false };
    case "corrected":
      return { ...photograph, corrected: action.phenotype, traits: IDLE };
    case "computing":
      return { ...photograph, traits: { isComputing: action.error === null, error: action.error } };
    case "saved":
      return photograph.stored === null
        ? photograph
        : { ...photograph, stored: { ...photograph.stored, plants: action.plants } };
    case "accept":
      return { ...photograph, accepted: action.accepted };
  }
}

/** Return the numbers that the page shows and exports: those of the correction, if there is one. */
export function currentPhenotype(photograph: Photograph): Phenotype | null {
  return photograph.corrected ?? photograph.measured;
}

/** Return true if corrections would be lost with the page. */
export function hasUnsavedCorrections({ history, stored }: Photograph): boolean {
  if (history === null) return false;
  return stored === null ? isCorrected(history) : history.present !== stored.plants;
}

/** Return true if a person has changed a root, and not only checked it. */
export function hasChangedRoots(photograph: Photograph): boolean {
  return photograph.corrected?.flags.some((flag) => flag.code === "corrected") ?? false;
}
