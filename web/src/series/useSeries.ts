import { useEffect, useReducer, useRef, useState } from "react";
import { type ApiClient, ApiError } from "../api/client";
import { describeError } from "../useMeasurements";
import type { Choices } from "./choices";
import { followSeries, MIN_PHOTOGRAPHS, type Outcome } from "./followSeries";
import { type Entry, isSameEntry } from "./seriesRequest";

const DELAY_MS = 300;

export interface SeriesState extends Outcome {
  isFollowing: boolean;
  /** Why the last request failed. */
  error: string | null;
}

const IDLE: SeriesState = { isFollowing: false, followed: null, failures: new Map(), error: null };

/**
 * Follow the plants of the photographs on the server, and again after each change. With null, the last result stays: more
 * photographs are being measured. Returns the state, and a function that sends the request again.
 */
export function useSeries(
  client: ApiClient,
  entries: readonly Entry[] | null,
  { timeZone, timeOfDay, isOnePlate }: Choices,
  onUnauthorised: () => void,
): [SeriesState, () => void] {
  const [state, setState] = useState(IDLE);
  const stable = useStableEntries(entries);
  const [attempt, retry] = useReducer((count: number) => count + 1, 0);
  const unauthorised = useRef(onUnauthorised);
  unauthorised.current = onUnauthorised;

  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt sends the same request again
  useEffect(() => {
    if (stable === null) return;
    if (stable.length < MIN_PHOTOGRAPHS) {
      setState(IDLE);
      return;
    }
    const controller = new AbortController();
    const { signal } = controller;
    setState((last) => ({ ...last, isFollowing: true }));
    const timer = setTimeout(() => {
      followSeries(client, stable, { timeZone, timeOfDay, isOnePlate }, signal)
        .then((outcome) => {
          if (!signal.aborted) setState({ ...outcome, isFollowing: false, error: null });
        })
        .catch((reason: unknown) => {
          if (signal.aborted) return;
          if (reason instanceof ApiError && reason.status === 401) unauthorised.current();
          const { title, message } = describeError(reason);
          setState({ ...IDLE, error: `${title} ${message}`.trim() });
        });
    }, DELAY_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [client, stable, timeZone, timeOfDay, isOnePlate, attempt]);
  return [state, retry];
}

/** Return the same array while its entries are the same: the queue changes with every step of an upload. */
function useStableEntries(entries: readonly Entry[] | null): readonly Entry[] | null {
  const last = useRef<readonly Entry[] | null>(null);
  const before = last.current;
  const isSame =
    before !== null &&
    entries !== null &&
    before.length === entries.length &&
    entries.every((entry, index) => isSameEntry(entry, before[index]));
  if (!isSame) last.current = entries;
  return last.current;
}
