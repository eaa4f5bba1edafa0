import { useId, useState } from "react";
import type { MeasureOptions } from "../api/client";
import { strings } from "../strings";

const ROTATIONS = [0, 90, 180, 270] as const;

/** Scale, plate width, expected plants and turn of the photographs that are added next. */
export function OptionsForm({
  options,
  onChange,
}: {
  options: MeasureOptions;
  onChange: (options: MeasureOptions) => void;
}) {
  const rotate = useId();
  return (
    <details className="options">
      <summary>{strings.options.title}</summary>
      <NumberField
        label={strings.options.width}
        help={strings.options.widthHelp}
        value={options.plateWidthMm}
        onChange={(plateWidthMm) => onChange({ ...options, plateWidthMm })}
      />
      <NumberField
        label={strings.options.scale}
        help={strings.options.scaleHelp}
        value={options.mmPerPx}
        onChange={(mmPerPx) => onChange({ ...options, mmPerPx })}
      />
      <NumberField
        label={strings.options.plants}
        help={strings.options.plantsHelp}
        value={options.expectedPlants}
        whole
        onChange={(expectedPlants) => onChange({ ...options, expectedPlants })}
      />
      <div className="field">
        <label htmlFor={rotate}>{strings.options.rotate}</label>
        <select
          id={rotate}
          value={options.rotate}
          onChange={(event) =>
            onChange({ ...options, rotate: Number(event.target.value) as MeasureOptions["rotate"] })
          }
        >
          {ROTATIONS.map((turn) => (
            <option key={turn} value={turn}>
              {strings.options.rotations[turn]}
            </option>
          ))}
        </select>
      </div>
      <p className="hint">{strings.options.appliesTo}</p>
    </details>
  );
}

function NumberField({
  label,
  help,
  value,
  whole = false,
  onChange,
}: {
  label: string;
  help: string;
  value: number | null;
  whole?: boolean;
  onChange: (value: number | null) => void;
}) {
  const id = useId();
  const [text, setText] = useState(value === null ? "" : String(value));
  const parsed = parse(text, whole);
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        inputMode="decimal"
        autoComplete="off"
        value={text}
        aria-invalid={parsed === undefined}
        aria-describedby={`${id}-help`}
        onChange={(event) => {
          setText(event.target.value);
          const next = parse(event.target.value, whole);
          if (next !== undefined) onChange(next);
        }}
      />
      <p id={`${id}-help`} className={parsed === undefined ? "error-text" : "hint"}>
        {parsed === undefined ? (whole ? strings.options.invalidCount : strings.options.invalid) : help}
      </p>
    </div>
  );
}

/** Return null for an empty field, and undefined for an invalid one. A decimal comma is accepted. */
function parse(text: string, whole: boolean): number | null | undefined {
  if (text.trim() === "") return null;
  const value = Number(text.trim().replace(",", "."));
  if (!Number.isFinite(value) || value <= 0) return undefined;
  return whole && !(Number.isInteger(value) && value <= 1000) ? undefined : value;
}
