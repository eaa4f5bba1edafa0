/** The requests of a series: all photographs, and after a refusal each one alone, to find those that cannot be in it. */
import { type ApiClient, ApiError } from "../api/client";
import type { SeriesRequest, SeriesResult } from "../api/types";
import { retryWhileBusy } from "../retry";
import type { Choices } from "./choices";
import { exifTime } from "./exifTime";
import { type Entry, toRequest } from "./seriesRequest";

export const MIN_PHOTOGRAPHS = 2;
const UNPROCESSABLE = 422;
const CONCURRENT = 4;

export interface Followed {
  result: SeriesResult;
  /** The photographs that are in the series, to join the result with their values. */
  entries: readonly Entry[];
  request: SeriesRequest;
}

export interface Outcome {
  /** Null if fewer than two photographs can be in the series. */
  followed: Followed | null;
  /** Why a photograph is left out, by its id. */
  failures: ReadonlyMap<number, string>;
}

/**
 * Follow the plants. A photograph whose time cannot be found is left out with its reason. Throws the error of the
 * server if the photographs contradict each other.
 */
export async function followSeries(
  client: ApiClient,
  entries: readonly Entry[],
  choices: Pick<Choices, "timeZone" | "timeOfDay" | "isOnePlate">,
  signal: AbortSignal,
): Promise<Outcome> {
  const times = await Promise.all(entries.map(({ file }) => exifTime(file)));
  const request = toRequest(entries, times, choices);
  try {
    const result = await post(client, request, signal);
    return { followed: { result, entries, request }, failures: new Map() };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const failures = await findFailures(client, entries, request, signal);
    if (failures.size === 0) throw error;
    const isLeft = (_: unknown, index: number) => !failures.has((entries[index] as Entry).id);
    const rest = { ...request, photographs: request.photographs.filter(isLeft) };
    if (rest.photographs.length < MIN_PHOTOGRAPHS) return { followed: null, failures };
    const result = await post(client, rest, signal);
    return { followed: { result, entries: entries.filter(isLeft), request: rest }, failures };
  }
}

/** Send each photograph alone and without its plants, and return the messages of those that are refused. */
async function findFailures(
  client: ApiClient,
  entries: readonly Entry[],
  request: SeriesRequest,
  signal: AbortSignal,
): Promise<Map<number, string>> {
  const failures = new Map<number, string>();
  const waiting = entries.map(({ id }, index) => ({ id, item: request.photographs[index] }));
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (next.item === undefined) continue;
      const photograph = { ...next.item, phenotype: { ...next.item.phenotype, plants: [] } };
      try {
        await post(client, { ...request, photographs: [photograph] }, signal);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        failures.set(next.id, error.message);
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, work));
  return failures;
}

function post(client: ApiClient, request: SeriesRequest, signal: AbortSignal): Promise<SeriesResult> {
  const init = { method: "POST", body: JSON.stringify(request), signal };
  return retryWhileBusy(() => client.json<SeriesResult>("v1/series", init));
}

function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === UNPROCESSABLE;
}
