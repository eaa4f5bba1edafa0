import { type Dispatch, useEffect, useRef } from "react";
import type { ApiClient } from "./api/client";
import { type History, isCorrected } from "./model/history";
import type { Action, Photograph } from "./model/photographs";
import { describeError } from "./useMeasurements";

const DELAY_MS = 80;

interface Computation {
  history: History;
  cancel: () => void;
}

/** Compute the traits of each photograph on the server after its roots have changed. */
export function useTraits(
  client: ApiClient,
  photographs: readonly Photograph[],
  dispatch: Dispatch<Action>,
): void {
  const computations = useRef(new Map<number, Computation>());
  useEffect(() => {
    for (const photograph of photographs) {
      const { id, history, measured } = photograph;
      const running = computations.current.get(id);
      if (history === null || measured === null || running?.history === history) continue;
      running?.cancel();
      const cancel = isCorrected(history) ? compute(client, photograph, dispatch) : () => {};
      computations.current.set(id, { history, cancel });
      if (running !== undefined && !isCorrected(history))
        dispatch({ kind: "corrected", id, phenotype: null });
    }
  }, [client, photographs, dispatch]);
}

/** Start a computation after a short delay, so that a held key sends one request. Returns a function that ends it. */
function compute(
  client: ApiClient,
  { id, measured, history }: Photograph,
  dispatch: Dispatch<Action>,
): () => void {
  const controller = new AbortController();
  dispatch({ kind: "computing", id, error: null });
  const timer = setTimeout(() => {
    if (measured === null || history === null) return;
    client
      .computeTraits(measured, history.present, controller.signal)
      .then((phenotype) => dispatch({ kind: "corrected", id, phenotype }))
      .catch((reason: unknown) => {
        if (controller.signal.aborted) return;
        const { title, message } = describeError(reason);
        dispatch({ kind: "computing", id, error: `${title} ${message}`.trim() });
      });
  }, DELAY_MS);
  return () => {
    clearTimeout(timer);
    controller.abort();
  };
}
