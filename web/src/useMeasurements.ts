import { type Dispatch, useEffect, useReducer, useRef } from "react";
import { type ApiClient, ApiError, type MeasureOptions } from "./api/client";
import { startHistory } from "./model/history";
import type { Action, Photograph } from "./model/photographs";
import { drawThumbnail } from "./model/thumbnail";
import { retryWhileBusy } from "./retry";
import { strings } from "./strings";

const CONCURRENT = 2;

/** Measure the waiting photographs, two at a time, and retry while the server is busy. */
export function useMeasurements(
  client: ApiClient,
  photographs: readonly Photograph[],
  optionsOf: (id: number) => MeasureOptions,
  dispatch: Dispatch<Action>,
  onUnauthorised: () => void,
): void {
  const running = useRef(new Map<number, AbortController>());
  const drawn = useRef(new Set<number>());
  const [finished, countFinished] = useReducer((count: number) => count + 1, 0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a finished measurement frees a place in the queue
  useEffect(() => {
    for (const [id, controller] of running.current)
      if (!photographs.some((photograph) => photograph.id === id)) controller.abort();
    const waiting = photographs.filter(
      ({ id, status }) => status.kind === "waiting" && !running.current.has(id),
    );
    for (const photograph of waiting.slice(0, CONCURRENT - running.current.size)) {
      const controller = new AbortController();
      running.current.set(photograph.id, controller);
      void measure(client, photograph, optionsOf(photograph.id), dispatch, controller.signal)
        .then((isAuthorised) => {
          if (!isAuthorised) onUnauthorised();
        })
        .finally(() => {
          running.current.delete(photograph.id);
          countFinished();
        });
    }
  }, [client, photographs, optionsOf, dispatch, onUnauthorised, finished]);

  useEffect(() => {
    for (const { id, file } of photographs) {
      if (drawn.current.has(id)) continue;
      drawn.current.add(id);
      void drawThumbnail(file).then((url) => {
        if (url !== null) dispatch({ kind: "thumbnail", id, url });
      });
    }
  }, [photographs, dispatch]);
}

/** Measure one photograph. Returns false if the server requires a credential. */
async function measure(
  client: ApiClient,
  { id, file }: Photograph,
  options: MeasureOptions,
  dispatch: Dispatch<Action>,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const phenotype = await retryWhileBusy(() => {
      dispatch({ kind: "status", id, status: { kind: "uploading", share: 0 } });
      return client.measure(
        file,
        options,
        (share) =>
          dispatch({
            kind: "status",
            id,
            status: share < 1 ? { kind: "uploading", share } : { kind: "measuring" },
          }),
        signal,
      );
    });
    dispatch({ kind: "measured", id, phenotype, history: startHistory(phenotype) });
    return true;
  } catch (error) {
    if (signal.aborted) return true;
    dispatch({ kind: "status", id, status: { kind: "failed", ...describeError(error) } });
    return !(error instanceof ApiError && error.status === 401);
  }
}

/** Return an error in words: what failed, why, and what to do. */
export function describeError(error: unknown): { title: string; message: string } {
  if (!(error instanceof ApiError)) return { title: strings.errors.unexpected, message: String(error) };
  if (error.status === 0) return { title: "", message: strings.errors.offline };
  return {
    title: error.title === "" ? strings.errors.http(error.status) : `${error.title}.`,
    message: error.message,
  };
}
