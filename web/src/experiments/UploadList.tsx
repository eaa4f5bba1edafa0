import { strings } from "../strings";
import type { Upload, UploadStatus } from "./useUploads";

/** Photographs that are being added, with progress, and the reason of each failure. */
export function UploadList({
  uploads,
  onRetry,
  onClear,
}: {
  uploads: readonly Upload[];
  onRetry: (id: number) => void;
  onClear: () => void;
}) {
  if (uploads.length === 0) return null;
  const added = uploads.filter(({ status }) => status.kind === "added").length;
  const failed = uploads.filter(({ status }) => status.kind === "failed").length;
  return (
    <div>
      <div className="row">
        <p role="status">{strings.experiments.progress(added, failed, uploads.length)}</p>
        <progress aria-label={strings.experiments.adding} max={uploads.length} value={added + failed} />
        {added > 0 && (
          <button type="button" onClick={onClear}>
            {strings.experiments.clear}
          </button>
        )}
      </div>
      <ul className="uploads">
        {uploads.map(({ id, file, status }) => (
          <li key={id} className={status.kind === "failed" ? "error-text" : ""}>
            <strong>{file.name}</strong> {describe(status)}
            {status.kind === "failed" && (
              <>
                {" "}
                <button
                  type="button"
                  aria-label={`${strings.experiments.retry} ${file.name}`}
                  onClick={() => onRetry(id)}
                >
                  {strings.experiments.retry}
                </button>
              </>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

function describe(status: UploadStatus): string {
  switch (status.kind) {
    case "waiting":
      return strings.queue.waiting;
    case "uploading":
      return strings.queue.uploading(status.share);
    case "measuring":
      return strings.queue.measuring;
    case "added":
      return status.isNew ? strings.experiments.added : strings.experiments.known;
    case "failed":
      return status.message;
  }
}
