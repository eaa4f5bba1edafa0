import { currentPhenotype, hasChangedRoots, type Photograph } from "../model/photographs";
import { strings } from "../strings";

export function QueueList({
  photographs,
  selectedId,
  onSelect,
  onRetry,
  onRemove,
  note,
}: {
  photographs: readonly Photograph[];
  selectedId: number | null;
  onSelect: (id: number) => void;
  onRetry: (id: number) => void;
  onRemove: (id: number) => void;
  note?: (photograph: Photograph) => string;
}) {
  return (
    <ul className="queue">
      {photographs.map((photograph) => (
        <li key={photograph.id} className={photograph.id === selectedId ? "selected" : ""}>
          <button
            type="button"
            className="queue-item"
            aria-current={photograph.id === selectedId}
            onClick={() => onSelect(photograph.id)}
          >
            <Thumbnail photograph={photograph} />
            <span className="queue-text">
              <span className="queue-name" title={photograph.name}>
                {photograph.name}
              </span>
              <StatusText photograph={photograph} />
              {note !== undefined && <span className="hint">{note(photograph)}</span>}
            </span>
          </button>
          {photograph.status.kind === "failed" && (
            <div className="row queue-actions">
              <button type="button" onClick={() => onRetry(photograph.id)}>
                {strings.queue.retry}
              </button>
              <button type="button" onClick={() => onRemove(photograph.id)}>
                {strings.queue.remove}
              </button>
            </div>
          )}
        </li>
      ))}
    </ul>
  );
}

function Thumbnail({ photograph }: { photograph: Photograph }) {
  return photograph.thumbnail === null ? (
    <span className="thumbnail" aria-hidden="true" />
  ) : (
    <img className="thumbnail" src={photograph.thumbnail} alt="" />
  );
}

function StatusText({ photograph }: { photograph: Photograph }) {
  const status = photograph.status;
  switch (status.kind) {
    case "waiting":
      return <span className="hint">{strings.queue.waiting}</span>;
    case "uploading":
      return (
        <span className="hint">
          {strings.queue.uploading(status.share)}
          <progress max={1} value={status.share} aria-label={strings.queue.uploading(status.share)} />
        </span>
      );
    case "measuring":
      return (
        <span className="hint">
          {strings.queue.measuring}
          <progress aria-label={strings.queue.measuring} />
        </span>
      );
    case "failed":
      return (
        <span className="error-text" role="alert">
          <strong>{status.title}</strong> {status.message}
        </span>
      );
    case "measured": {
      const plants = currentPhenotype(photograph)?.plants.length ?? 0;
      return (
        <span className="hint">
          {strings.queue.measured(plants)}
          {hasChangedRoots(photograph) && ` · ${strings.queue.corrected}`}
          {photograph.accepted && ` · ${strings.queue.accepted}`}
        </span>
      );
    }
  }
}
