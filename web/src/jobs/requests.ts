/** Requests of jobs: measurements of stored photographs by the server, which survive a reload of the page. */
import { type ApiClient, type MeasureOptions, measureQuery } from "../api/client";
import type { Job, JobImage, JobImagePage, JobPage } from "../api/types";

/** States of images that have failed. */
const FAILED_STATES = ["quarantined", "failed"] as const;
const RECENT_JOBS = 20;

const path = (job: string) => `v1/jobs/${encodeURIComponent(job)}`;

/** Return the newest running job of an experiment, or else its newest job; null if it has none. */
export async function currentJob(
  client: ApiClient,
  experiment: string,
  signal: AbortSignal,
): Promise<Job | null> {
  const query = `experiment=${encodeURIComponent(experiment)}&limit=${RECENT_JOBS}`;
  const page = await client.json<JobPage>(`v1/jobs?${query}`, { signal });
  return page.items.find(({ state }) => state === "running") ?? page.items[0] ?? null;
}

/** Measure the photographs without a measurement, or all of them again. */
export function submitJob(
  client: ApiClient,
  experiment: string,
  remeasure: boolean,
  options: MeasureOptions,
): Promise<Job> {
  const query = measureQuery("", options);
  const parameters = [...query].flatMap(([name, value]) => (name === "name" ? [] : [[name, Number(value)]]));
  const body = JSON.stringify({ experiment, remeasure, ...Object.fromEntries(parameters) });
  return client.json("v1/jobs", { method: "POST", body });
}

export function cancelJob(client: ApiClient, job: string): Promise<Job> {
  return client.json(`${path(job)}/cancel`, { method: "POST" });
}

/** Measure the failed photographs of a job again. */
export function retryJob(client: ApiClient, job: string): Promise<Job> {
  return client.json(`${path(job)}/retry`, { method: "POST" });
}

/** Return up to 100 photographs of each state of failure, with the reasons. */
export async function failedImages(
  client: ApiClient,
  job: string,
  signal: AbortSignal,
): Promise<readonly JobImage[]> {
  const pages = await Promise.all(
    FAILED_STATES.map((state) =>
      client.json<JobImagePage>(`${path(job)}/images?state=${state}&limit=100`, { signal }),
    ),
  );
  return pages.flatMap(({ items }) => items);
}
