import { useCallback, useEffect, useRef, useState } from "react";
import { type ApiClient, ApiError, type MeasureOptions } from "../api/client";
import type { Experiment, Job, JobImage } from "../api/types";
import { strings } from "../strings";
import { describeError } from "../useMeasurements";
import { usePolling } from "../usePolling";
import { cancelJob, currentJob, failedImages, retryJob, submitJob } from "./requests";

const RUNNING_MS = 2000;
const IDLE_MS = 30_000;

/** Measurements of the photographs of an experiment by the server: start, progress, failures, and another attempt. */
export function JobPanel({
  client,
  experiment,
  options,
  onEnded,
  onUnauthorised,
}: {
  client: ApiClient;
  experiment: Experiment;
  /** Scale and plate for the measurement. */
  options: MeasureOptions;
  /** A job that ran has ended: results have changed. */
  onEnded: () => void;
  onUnauthorised: () => void;
}) {
  // the response of an action is newer than that of the last poll
  const [acted, setActed] = useState<Job | null>(null);
  const [actions, setActions] = useState(0);
  const [isSending, setSending] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [intervalMs, setIntervalMs] = useState(RUNNING_MS);
  // biome-ignore lint/correctness/useExhaustiveDependencies: read again after each action
  const read = useCallback(
    (signal: AbortSignal) =>
      currentJob(client, experiment.id, signal).then((job) => {
        setActed(null);
        return { job };
      }),
    [client, experiment.id, actions],
  );
  const polled = usePolling(read, intervalMs);
  const job = acted ?? polled.value?.job ?? null;
  const isRunning = job?.state === "running";
  useEffect(() => setIntervalMs(isRunning ? RUNNING_MS : IDLE_MS), [isRunning]);
  const wasRunning = useRef(false);
  const ended = useRef(onEnded);
  ended.current = onEnded;
  useEffect(() => {
    if (wasRunning.current && !isRunning) ended.current();
    wasRunning.current = isRunning;
  }, [isRunning]);

  const act = (request: () => Promise<Job>) => {
    setSending(true);
    setError(null);
    request()
      .then((changed) => {
        setActed(changed);
        setActions((count) => count + 1);
      })
      .catch((reason: unknown) => {
        setError(describeError(reason).message);
        if (reason instanceof ApiError && reason.status === 401) onUnauthorised();
      })
      .finally(() => setSending(false));
  };
  const unmeasured = experiment.images - experiment.measured;
  const submit = (remeasure: boolean) => act(() => submitJob(client, experiment.id, remeasure, options));
  return (
    <section aria-label={strings.jobs.title}>
      <h3>{strings.jobs.title}</h3>
      {job !== null && <Progress job={job} />}
      {(error ?? polled.error) !== null && (
        <p role="alert" className="error-text">
          {error ?? polled.error}
        </p>
      )}
      {job !== null && job.progress.failed + job.progress.quarantined > 0 && (
        <Failures client={client} job={job} />
      )}
      <div className="row">
        {isRunning ? (
          <button type="button" disabled={isSending} onClick={() => act(() => cancelJob(client, job.id))}>
            {strings.jobs.cancel}
          </button>
        ) : (
          <>
            {unmeasured > 0 && (
              <button type="button" disabled={isSending} onClick={() => submit(false)}>
                {strings.jobs.measure(unmeasured)}
              </button>
            )}
            <button type="button" disabled={isSending} onClick={() => submit(true)}>
              {strings.jobs.measureAgain(experiment.images)}
            </button>
            {job !== null && job.progress.failed + job.progress.quarantined > 0 && (
              <button type="button" disabled={isSending} onClick={() => act(() => retryJob(client, job.id))}>
                {strings.jobs.retry}
              </button>
            )}
          </>
        )}
      </div>
      {!isRunning && <p className="hint">{strings.jobs.hint}</p>}
    </section>
  );
}

function Progress({ job: { state, progress, finished_at: finishedAt } }: { job: Job }) {
  const failed = progress.failed + progress.quarantined;
  const text = strings.jobs.progress(progress.measured, failed, progress.total);
  if (state !== "running")
    return (
      <p role="status">
        {strings.jobs.ended(state === "cancelled", finishedAt?.slice(0, 16).replace("T", " ") ?? "", text)}
      </p>
    );
  return (
    <div className="row">
      <p role="status">{text}</p>
      <progress aria-label={strings.jobs.title} max={progress.total} value={progress.measured + failed} />
    </div>
  );
}

/** The photographs that could not be measured, with the reasons of the server. */
function Failures({ client, job }: { client: ApiClient; job: Job }) {
  const [images, setImages] = useState<readonly JobImage[]>([]);
  const failed = job.progress.failed + job.progress.quarantined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: read again when another photograph has failed
  useEffect(() => {
    const controller = new AbortController();
    // the next poll reads them again, and shows why it failed
    failedImages(client, job.id, controller.signal).then(setImages, () => {});
    return () => controller.abort();
  }, [client, job.id, failed]);
  return (
    <ul className="uploads">
      {images.map(({ sha256, name, reason }) => (
        <li key={sha256} className="error-text">
          <strong>{name}</strong> {reason}
        </li>
      ))}
      {images.length > 0 && failed > images.length && <li>{strings.jobs.more(failed - images.length)}</li>}
    </ul>
  );
}
