import { useId } from "react";
import * as corrections from "../model/corrections";
import type { EditedPlant, History } from "../model/history";
import { isCorrected } from "../model/history";
import { strings } from "../strings";
import { ordersOf, type Selection } from "../viewer/scene";

export type Command =
  | { kind: "undo" | "redo" | "reset" | "addPlant" | "drawLateral" | "drawPrimary" }
  | { kind: "split" | "deletePoint" | "deleteRoot" | "reverse" | "deletePlant" }
  | { kind: "setPlant"; plant: number }
  | { kind: "setParent"; parent: string | null }
  | { kind: "setChecked"; checked: boolean };

/** Buttons and fields that correct the selected root or plant. */
export function CorrectPanel({
  history,
  selection,
  isDrawing,
  isComputing,
  error,
  onCommand,
}: {
  history: History;
  selection: Selection;
  isDrawing: boolean;
  isComputing: boolean;
  error: string | null;
  onCommand: (command: Command) => void;
}) {
  const plant = history.present.find((candidate) => candidate.id === selection.plant);
  return (
    <section className="correct" aria-label={strings.correct.title}>
      <div className="row">
        <button
          type="button"
          disabled={history.past.length === 0}
          onClick={() => onCommand({ kind: "undo" })}
        >
          {strings.correct.undo}
        </button>
        <button
          type="button"
          disabled={history.future.length === 0}
          onClick={() => onCommand({ kind: "redo" })}
        >
          {strings.correct.redo}
        </button>
        <button type="button" disabled={!isCorrected(history)} onClick={() => onCommand({ kind: "reset" })}>
          {strings.correct.reset}
        </button>
        <button type="button" disabled={isDrawing} onClick={() => onCommand({ kind: "addPlant" })}>
          {strings.correct.addPlant}
        </button>
      </div>
      <p className="hint" role="status">
        {isComputing ? strings.correct.recomputing : isDrawing ? strings.correct.drawing : ""}
      </p>
      {error !== null && (
        <p className="error-text" role="alert">
          {error}
        </p>
      )}
      {plant === undefined ? (
        <p className="hint">{strings.correct.selectHint}</p>
      ) : (
        <PlantFields
          plant={plant}
          plants={history.present}
          selection={selection}
          isDrawing={isDrawing}
          onCommand={onCommand}
        />
      )}
      <details className="keys">
        <summary>{strings.correct.shortcuts}</summary>
        <dl>
          {strings.correct.keys.map(([key, meaning]) => (
            <div key={key}>
              <dt>
                <kbd>{key}</kbd>
              </dt>
              <dd>{meaning}</dd>
            </div>
          ))}
        </dl>
      </details>
    </section>
  );
}

function PlantFields({
  plant,
  plants,
  selection,
  isDrawing,
  onCommand,
}: {
  plant: EditedPlant;
  plants: readonly EditedPlant[];
  selection: Selection;
  isDrawing: boolean;
  onCommand: (command: Command) => void;
}) {
  const id = useId();
  const root = plant.roots.find((candidate) => candidate.id === selection.root);
  const below = root === undefined ? new Set<string>() : corrections.descendants(plant, root.id);
  const isInnerPoint =
    root !== undefined &&
    selection.point !== null &&
    selection.point > 0 &&
    selection.point < root.points.length - 1;
  const button = (label: string, command: Command, isDisabled = false) => (
    <button type="button" disabled={isDrawing || isDisabled} onClick={() => onCommand(command)}>
      {label}
    </button>
  );
  return (
    <>
      {root !== undefined && (
        <div className="root-fields">
          <h3>
            {strings.correct.root(root.id)}{" "}
            <span className="hint">{strings.correct.order(ordersOf(plant).get(root.id) ?? 1)}</span>
          </h3>
          <div className="field-pair">
            <label htmlFor={`${id}-plant`}>{strings.correct.plant}</label>
            <select
              id={`${id}-plant`}
              value={plant.id}
              onChange={(event) => onCommand({ kind: "setPlant", plant: Number(event.target.value) })}
            >
              {plants.map((other) => (
                <option key={other.id} value={other.id}>
                  {other.id}
                </option>
              ))}
            </select>
            <label htmlFor={`${id}-parent`}>{strings.correct.parent}</label>
            <select
              id={`${id}-parent`}
              value={root.parent ?? ""}
              onChange={(event) => onCommand({ kind: "setParent", parent: event.target.value || null })}
            >
              <option value="">{strings.correct.noParent}</option>
              {plant.roots
                .filter((other) => !below.has(other.id))
                .map((other) => (
                  <option key={other.id} value={other.id}>
                    {other.id}
                  </option>
                ))}
            </select>
          </div>
          <div className="row">
            {button(strings.correct.drawLateral, { kind: "drawLateral" })}
            {button(strings.correct.split, { kind: "split" }, !isInnerPoint)}
            {button(strings.correct.deletePoint, { kind: "deletePoint" }, selection.point === null)}
            {button(strings.correct.reverse, { kind: "reverse" })}
            {button(strings.correct.deleteRoot, { kind: "deleteRoot" })}
          </div>
          <p className="hint">{strings.correct.handleHint}</p>
        </div>
      )}
      <div className="row">
        <label className="check">
          <input
            type="checkbox"
            checked={plant.checked}
            onChange={(event) => onCommand({ kind: "setChecked", checked: event.target.checked })}
          />
          {strings.correct.checked}
        </label>
      </div>
      <div className="row">
        {plant.roots.length === 0 && button(strings.correct.drawPrimary, { kind: "drawPrimary" })}
        {button(`${strings.correct.deletePlant} ${plant.id}`, { kind: "deletePlant" })}
      </div>
    </>
  );
}
