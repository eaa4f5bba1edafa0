import { useEffect, useReducer, useRef } from "react";
import { type ApiClient, ApiError, type MeasureOptions } from "../api/client";
import { retryWhileBusy } from "../retry";
import { describeError } from "../useMeasurements";
import { addImage } from "./requests";

const CONCURRENT = 2;

export type UploadStatus =
  | { kind: "waiting" }
  | { kind: "uploading"; share: number }
  | { kind: "measuring" }
  | { kind: "added"; isNew: boolean }
  | { kind: "failed"; message: string };

export interface Upload {
  id: number;
  file: File;
  options: MeasureOptions;
  status: UploadStatus;
}

type Action =
  | { kind: "add"; files: readonly File[]; options: MeasureOptions }
  | { kind: "status"; id: number; status: UploadStatus }
  | { kind: "clear" };

export function uploadsReducer(uploads: readonly Upload[], action: Action): readonly Upload[] {
  switch (action.kind) {
    case "add": {
      const next = (uploads.at(-1)?.id ?? 0) + 1;
      return [
        ...uploads,
        ...action.files.map((file, index): Upload => {
          return { id: next + index, file, options: action.options, status: { kind: "waiting" } };
        }),
      ];
    }
    case "status":
      return uploads.map((upload) =>
        upload.id === action.id ? { ...upload, status: action.status } : upload,
      );
    case "clear":
      return uploads.filter(({ status }) => status.kind !== "added");
  }
}

/** Add photographs to an experiment, two at a time. `onAdded` runs after each one. */
export function useUploads(
  client: ApiClient,
  experiment: string,
  onAdded: () => void,
  onUnauthorised: () => void,
) {
  const [uploads, dispatch] = useReducer(uploadsReducer, []);
  const running = useRef(new Map<number, AbortController>());
  const callbacks = useRef({ onAdded, onUnauthorised });
  callbacks.current = { onAdded, onUnauthorised };

  useEffect(() => {
    const controllers = running.current;
    return () => {
      for (const controller of controllers.values()) controller.abort();
    };
  }, []);

  useEffect(() => {
    const waiting = uploads.filter(({ id, status }) => status.kind === "waiting" && !running.current.has(id));
    for (const upload of waiting.slice(0, CONCURRENT - running.current.size)) {
      const controller = new AbortController();
      running.current.set(upload.id, controller);
      const setStatus = (status: UploadStatus) => dispatch({ kind: "status", id: upload.id, status });
      send(client, experiment, upload, setStatus, controller.signal).then(
        (status) => {
          running.current.delete(upload.id);
          setStatus(status);
          callbacks.current.onAdded();
        },
        (error: unknown) => {
          running.current.delete(upload.id);
          if (controller.signal.aborted) return;
          const { title, message } = describeError(error);
          setStatus({ kind: "failed", message: `${title} ${message}`.trim() });
          if (error instanceof ApiError && error.status === 401) callbacks.current.onUnauthorised();
        },
      );
    }
  }, [client, experiment, uploads]);

  return { uploads, dispatch };
}

async function send(
  client: ApiClient,
  experiment: string,
  { file, options }: Upload,
  setStatus: (status: UploadStatus) => void,
  signal: AbortSignal,
): Promise<UploadStatus> {
  const added = await retryWhileBusy(() => {
    setStatus({ kind: "uploading", share: 0 });
    const onUpload = (share: number) =>
      setStatus(share < 1 ? { kind: "uploading", share } : { kind: "measuring" });
    return addImage(client, experiment, file, options, onUpload, signal);
  });
  return { kind: "added", isNew: added.is_new };
}
