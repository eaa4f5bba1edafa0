import { useEffect, useState } from "react";
import { ApiError } from "./api/client";
import { describeError } from "./useMeasurements";

const MAX_INTERVAL_MS = 60_000;

export interface Polled<Value> {
  /** The last value. It is kept when a later poll fails. */
  value: Value | null;
  /** Why the last poll failed. */
  error: string | null;
}

/**
 * Poll while the tab is visible. A hidden tab sends nothing, and polls at once when it is shown again. After a failure
 * the interval doubles, up to a minute, and is never shorter than the Retry-After of the server. `read` must be stable.
 */
export function usePolling<Value>(
  read: (signal: AbortSignal) => Promise<Value>,
  intervalMs: number,
): Polled<Value> {
  const [polled, setPolled] = useState<Polled<Value>>({ value: null, error: null });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let running: AbortController | undefined;
    let waitMs = intervalMs;
    const poll = async () => {
      clearTimeout(timer);
      running?.abort();
      running = undefined;
      if (document.visibilityState === "hidden") return;
      const request = new AbortController();
      running = request;
      try {
        const value = await read(request.signal);
        if (request.signal.aborted) return;
        waitMs = intervalMs;
        setPolled({ value, error: null });
      } catch (reason: unknown) {
        if (request.signal.aborted) return;
        const retryAfterMs = reason instanceof ApiError ? (reason.retryAfterS ?? 0) * 1000 : 0;
        waitMs = Math.max(Math.min(2 * waitMs, MAX_INTERVAL_MS), retryAfterMs);
        setPolled((last) => ({ value: last.value, error: describeError(reason).message }));
      }
      timer = setTimeout(poll, waitMs);
    };
    void poll();
    document.addEventListener("visibilitychange", poll);
    return () => {
      document.removeEventListener("visibilitychange", poll);
      clearTimeout(timer);
      running?.abort();
    };
  }, [read, intervalMs]);
  return polled;
}
