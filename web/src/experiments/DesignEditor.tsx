import { useDeferredValue, useEffect, useId, useMemo, useState } from "react";
import type { ApiClient } from "../api/client";
import type { DesignTable } from "../api/types";
import { type PastedTable, parseDesign } from "../model/design";
import { strings } from "../strings";
import { describeError } from "../useMeasurements";
import { getDesign, putDesign } from "./requests";

const PREVIEW_ROWS = 20;
const MAX_CHARACTERS = 8 * 2 ** 20;

/** Design table of an experiment, replaced by one that is pasted from a spreadsheet. */
export function DesignEditor({
  client,
  experiment,
  images,
  onSaved,
}: {
  client: ApiClient;
  experiment: string;
  images: number;
  onSaved: () => void;
}) {
  const [stored, setStored] = useState<DesignTable | null>(null);
  const [text, setText] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [isSaving, setSaving] = useState(false);
  const field = useId();
  const pasted = useDeferredValue(text);
  const parsed = useMemo(() => parseDesign(pasted), [pasted]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: new images change the numbers of unmatched rows
  useEffect(() => {
    const controller = new AbortController();
    getDesign(client, experiment, controller.signal).then(setStored, (reason: unknown) => {
      if (!controller.signal.aborted) setError(describeError(reason).message);
    });
    return () => controller.abort();
  }, [client, experiment, images]);

  const save = async () => {
    setSaving(true);
    setError(null);
    try {
      setStored(await putDesign(client, experiment, parsed));
      setText("");
      onSaved();
    } catch (reason) {
      setError(describeError(reason).message);
    } finally {
      setSaving(false);
    }
  };

  return (
    <section aria-labelledby={`${field}-title`}>
      <h3 id={`${field}-title`}>{strings.design.title}</h3>
      {stored !== null && stored.columns.length > 0 && (
        <>
          <p className="hint" role="status">
            {strings.design.stored(stored.rows.length, stored.unmatched_rows, stored.images_without_row)}
          </p>
          {pasted === "" && <Preview table={stored} caption={strings.design.storedCaption} />}
        </>
      )}
      <label htmlFor={field}>{strings.design.paste}</label>
      <p className="hint" id={`${field}-help`}>
        {strings.design.help}
      </p>
      <textarea
        id={field}
        className="design-text"
        rows={5}
        spellCheck={false}
        value={text}
        maxLength={MAX_CHARACTERS}
        aria-describedby={`${field}-help`}
        aria-invalid={parsed.errors.length > 0}
        onChange={(event) => setText(event.target.value)}
      />
      {parsed.errors.length > 0 && (
        <div className="error-text" role="alert">
          <ul>
            {parsed.errors.map((message) => (
              <li key={message}>{message}</li>
            ))}
          </ul>
        </div>
      )}
      {error !== null && (
        <p className="error-text" role="alert">
          {error}
        </p>
      )}
      {pasted !== "" && parsed.columns.length > 0 && (
        <>
          <Preview table={parsed} caption={strings.design.preview(parsed.rows.length)} />
          <div className="row">
            <button
              type="button"
              className="primary"
              disabled={isSaving || parsed.errors.length > 0 || pasted !== text}
              onClick={() => void save()}
            >
              {strings.design.save}
            </button>
            <button type="button" onClick={() => setText("")}>
              {strings.design.discard}
            </button>
          </div>
        </>
      )}
    </section>
  );
}

function Preview({ table, caption }: { table: PastedTable; caption: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs the keyboard
    <section className="table-scroll" tabIndex={0} aria-label={caption}>
      <table>
        <caption>{caption}</caption>
        <thead>
          <tr>
            <th scope="col">{strings.design.row}</th>
            {table.columns.map((name, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: an invalid table may have a name twice
              <th key={index} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.slice(0, PREVIEW_ROWS).map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows have no identity
            <tr key={index}>
              <th scope="row">{index + 1}</th>
              {row.map((cell, column) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: cells have no identity
                <td key={column}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {table.rows.length > PREVIEW_ROWS && (
        <p className="hint">{strings.design.more(table.rows.length - PREVIEW_ROWS)}</p>
      )}
    </section>
  );
}
