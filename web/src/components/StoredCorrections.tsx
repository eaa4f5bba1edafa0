import { useEffect, useId, useState } from "react";
import type { ApiClient } from "../api/client";
import type { Correction } from "../api/types";
import { listCorrections } from "../experiments/openImage";
import type { EditedPlant } from "../model/history";
import { strings } from "../strings";
import { describeError } from "../useMeasurements";
import "../corrections.css";

const MAX_REASON_LENGTH = 2000;

/** Save the corrected roots of a stored measurement with a reason, and list who corrected it before, when and why. */
export function StoredCorrections({
  client,
  measurement,
  plants,
  isSaved,
  onSaved,
}: {
  client: ApiClient;
  measurement: string;
  plants: readonly EditedPlant[];
  /** True if the shown roots are those of the store. */
  isSaved: boolean;
  onSaved: (plants: readonly EditedPlant[]) => void;
}) {
  const [known, setKnown] = useState<readonly Correction[] | null>(null);
  const [reason, setReason] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [isSaving, setSaving] = useState(false);
  const field = useId();

  useEffect(() => {
    listCorrections(client, measurement).then(setKnown, (failure: unknown) =>
      setError(describeError(failure).message),
    );
  }, [client, measurement]);

  const save = async () => {
    setSaving(true);
    setError(null);
    try {
      const stored = await listCorrections(client, measurement);
      const newer = stored.slice(known?.length ?? 0);
      setKnown(stored);
      if (newer.length > 0) {
        setError(strings.stored.conflict(newer.map(({ created_by }) => created_by).join(", ")));
        return;
      }
      const body = JSON.stringify({ reason: reason.trim(), plants });
      const path = `v1/measurements/${encodeURIComponent(measurement)}/corrections`;
      const added = await client.json<Correction>(path, { method: "POST", body });
      setKnown([...stored, added]);
      setReason("");
      onSaved(plants);
    } catch (failure) {
      setError(`${strings.stored.failed} ${describeError(failure).message}`);
    } finally {
      setSaving(false);
    }
  };

  return (
    <section className="stored" aria-label={strings.stored.title}>
      <h3>{strings.stored.title}</h3>
      <p className="hint" role="status">
        {isSaved ? strings.stored.saved : strings.stored.unsaved}
      </p>
      <div className="field">
        <label htmlFor={field}>{strings.stored.reason}</label>
        <input
          id={field}
          value={reason}
          maxLength={MAX_REASON_LENGTH}
          onChange={(event) => setReason(event.target.value)}
        />
      </div>
      <div className="row">
        <button
          type="button"
          className="primary"
          disabled={isSaved || isSaving || known === null || reason.trim() === ""}
          onClick={() => void save()}
        >
          {strings.stored.save}
        </button>
      </div>
      {error !== null && (
        <p className="error-text" role="alert">
          {error}
        </p>
      )}
      {known?.length === 0 && <p className="hint">{strings.stored.none}</p>}
      {known !== null && known.length > 0 && (
        <ol aria-label={strings.stored.history}>
          {known.map(({ id, created_at, created_by, reason: why }) => (
            <li key={id}>
              {strings.stored.entry(created_at.slice(0, 16).replace("T", " "), created_by, why)}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
