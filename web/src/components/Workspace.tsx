import { type Dispatch, useCallback, useEffect, useRef, useState } from "react";
import type { ApiClient, MediaType } from "../api/client";
import type { Flag, XY } from "../api/types";
import { saveResult } from "../downloads";
import * as corrections from "../model/corrections";
import { removeHandle } from "../model/geometry";
import { commit, type EditedPlant, type History, redo, undo } from "../model/history";
import { type Action, currentPhenotype, type Photograph } from "../model/photographs";
import { plateAt } from "../model/plates";
import { strings } from "../strings";
import { describeError } from "../useMeasurements";
import { handlesOf, LAYERS, type Layers, type Selection } from "../viewer/scene";
import { Viewer, type ViewerHandle } from "../viewer/Viewer";
import { type Command, CorrectPanel } from "./CorrectPanel";
import { StoredCorrections } from "./StoredCorrections";
import { PlantOverview, TraitDetails } from "./TraitPanel";
import { FlagNote, LayerToggles, ZoomButtons } from "./ViewerControls";

const NOTHING: Selection = { plant: null, root: null, point: null };
const SHOWN: Layers = {
  photograph: true,
  organs: false,
  roots: true,
  landmarks: false,
  plate: true,
  flags: true,
};
const FORMATS: readonly { label: string; mediaType: MediaType }[] = [
  { label: strings.download.csv, mediaType: "text/csv" },
  { label: strings.download.rsml, mediaType: "application/rsml+xml" },
  { label: strings.download.json, mediaType: "application/json" },
];

/** What the next drawn line becomes. */
type Drawing =
  | { kind: "lateral"; plant: number; parent: string }
  | { kind: "primary"; plant: number }
  | { kind: "plant" };

export interface WorkspaceProps {
  client: ApiClient;
  photograph: Photograph | undefined;
  dispatch: Dispatch<Action>;
  /** Accepts the photograph in the review; null outside of it. */
  onAccept: ((photograph: Photograph) => void) | null;
}

/** One photograph with its roots and traits: look, correct, download, accept. */
export function Workspace({ client, photograph, dispatch, onAccept }: WorkspaceProps) {
  const [selection, setSelection] = useState(NOTHING);
  const [layers, setLayers] = useState(SHOWN);
  const [drawing, setDrawing] = useState<Drawing | null>(null);
  const [flag, setFlag] = useState<Flag | null>(null);
  const [downloadError, setDownloadError] = useState<string | null>(null);
  const viewer = useRef<ViewerHandle>(null);
  const { isComputing, error } = photograph?.traits ?? { isComputing: false, error: null };
  const history = photograph?.history ?? null;
  const id = photograph?.id;

  const setHistory = useCallback(
    (next: History) => {
      if (id !== undefined && next !== history) dispatch({ kind: "history", id, history: next });
    },
    [id, history, dispatch],
  );
  const apply = useCallback(
    (plants: readonly EditedPlant[]) => history !== null && setHistory(commit(history, plants)),
    [history, setHistory],
  );

  const run = (command: Command) => {
    if (history === null) return;
    const plants = history.present;
    const { plant, root, point } = selection;
    const points = root === null ? undefined : corrections.findRoot(plants, root)?.root.points;
    switch (command.kind) {
      case "undo":
      case "redo":
        setSelection((current) => ({ ...current, point: null }));
        return setHistory(command.kind === "undo" ? undo(history) : redo(history));
      case "reset":
        setSelection(NOTHING);
        return apply(history.origin);
      case "addPlant":
        viewer.current?.focus();
        return setDrawing({ kind: "plant" });
      case "drawPrimary":
        viewer.current?.focus();
        return plant === null ? undefined : setDrawing({ kind: "primary", plant });
      case "drawLateral":
        viewer.current?.focus();
        return plant === null || root === null
          ? undefined
          : setDrawing({ kind: "lateral", plant, parent: root });
      case "split": {
        const split = root === null || point === null ? null : corrections.splitRoot(plants, root, point);
        if (split === null) return;
        apply(split.plants);
        return setSelection({ plant, root: split.newId, point: null });
      }
      case "deletePoint": {
        if (root === null || point === null || points === undefined) return;
        const handles = handlesOf(points);
        apply(corrections.setPoints(plants, root, removeHandle(points, handles, handles.indexOf(point))));
        return setSelection({ plant, root, point: null });
      }
      case "deleteRoot":
        if (root !== null) apply(corrections.deleteRoot(plants, root));
        return setSelection({ plant, root: null, point: null });
      case "reverse":
        if (root !== null) apply(corrections.reverseRoot(plants, root));
        return setSelection({ plant, root, point: null });
      case "deletePlant":
        if (plant !== null) apply(corrections.deletePlant(plants, plant));
        return setSelection(NOTHING);
      case "setPlant":
        if (root !== null) apply(corrections.moveToPlant(plants, root, command.plant));
        return setSelection({ plant: command.plant, root, point: null });
      case "setParent":
        return root === null ? undefined : apply(corrections.setParent(plants, root, command.parent));
      case "setChecked":
        return plant === null
          ? undefined
          : apply(corrections.setChecked(plants, new Set([plant]), command.checked));
    }
  };

  const onDrawn = (points: readonly XY[]) => {
    if (history === null || drawing === null || photograph?.measured == null) return;
    let { present: plants } = history;
    let plantId = drawing.kind === "plant" ? 0 : drawing.plant;
    if (drawing.kind === "plant") {
      const added = corrections.addPlant(plants, plateAt(photograph.measured, points[0] as XY));
      [plants, plantId] = [added.plants, added.plantId];
    }
    const drawn = corrections.addRoot(
      plants,
      plantId,
      drawing.kind === "lateral" ? drawing.parent : null,
      points,
    );
    setDrawing(null);
    if (drawn === null) return;
    apply(drawn.plants);
    setSelection({ plant: plantId, root: drawn.newId, point: null });
  };

  const accept = () => {
    if (photograph === undefined || history === null || onAccept === null) return;
    const all = new Set(history.present.map((plant) => plant.id));
    apply(corrections.setChecked(history.present, all, true));
    onAccept(photograph);
  };

  const shortcut = useRef<(event: KeyboardEvent) => boolean>(() => false);
  shortcut.current = (event) => {
    if (isTyping(event.target) || document.querySelector("dialog[open]") !== null) return false;
    const key = event.key.toLowerCase();
    if (event.ctrlKey || event.metaKey) {
      if (key === "z") run({ kind: event.shiftKey ? "redo" : "undo" });
      else if (key === "y") run({ kind: "redo" });
      else return false;
      return true;
    }
    if (event.altKey || drawing !== null || history === null) return false;
    const { root } = selection;
    if (key === "a" && onAccept !== null) accept();
    else if (key === "escape") setSelection(NOTHING);
    else if (key === "n") setSelection(nextRoot(history.present, root));
    else if (root === null) return false;
    else if (key === "delete" || key === "backspace")
      run({ kind: selection.point === null ? "deleteRoot" : "deletePoint" });
    else if (key === "s") run({ kind: "split" });
    else if (key === "l") run({ kind: "drawLateral" });
    else if (key === "[" || key === "]")
      setSelection(nextPoint(history.present, selection, key === "]" ? 1 : -1));
    else if (key === "insert") insertAfter();
    else return false;
    return true;
  };
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (shortcut.current(event)) event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);

  const insertAfter = () => {
    if (history === null || selection.root === null || selection.point === null) return;
    const inserted = corrections.insertAfter(history.present, selection.root, selection.point, handlesOf);
    if (inserted === null) return;
    apply(inserted.plants);
    setSelection({ ...selection, point: inserted.index });
  };

  const phenotype = photograph === undefined ? null : currentPhenotype(photograph);
  if (photograph === undefined || phenotype === null || photograph.measured === null || history === null) {
    const status = photograph?.status;
    return (
      <section className="empty">
        {status === undefined && (
          <>
            <p className="empty-title">{strings.viewer.empty}</p>
            <p className="hint">{strings.viewer.emptyHint}</p>
          </>
        )}
        {status !== undefined && status.kind !== "failed" && <p>{strings.viewer.working}</p>}
        {status?.kind === "failed" && (
          <p className="error-text">
            <strong>{status.title}</strong> {status.message}
          </p>
        )}
      </section>
    );
  }
  const showFlag = (shown: Flag) => {
    setFlag(shown);
    if (shown.at !== null) viewer.current?.show([shown.at.x, shown.at.y]);
  };
  const selectPlant = (plant: number) => {
    if (plant === selection.plant) {
      setSelection(NOTHING);
      return;
    }
    setSelection({ plant, root: null, point: null });
  };
  const download = (mediaType: MediaType) => {
    setDownloadError(null);
    saveResult(client, photograph, mediaType).catch((reason: unknown) =>
      setDownloadError(`${strings.download.failed} ${describeError(reason).message}`),
    );
  };
  return (
    <>
      <section className="stage" aria-label={photograph.name}>
        <div className="toolbar">
          <LayerToggles layers={layers} all={LAYERS} onChange={setLayers} />
          <div className="row downloads">
            <span className="visually-hidden">{strings.download.title}</span>
            {FORMATS.map(({ label, mediaType }) => (
              <button key={mediaType} type="button" onClick={() => download(mediaType)}>
                {label}
              </button>
            ))}
          </div>
        </div>
        <Viewer
          ref={viewer}
          file={photograph.file}
          phenotype={phenotype}
          plants={history.present}
          layers={layers}
          selection={selection}
          isDrawing={drawing !== null}
          onSelect={setSelection}
          onFlag={setFlag}
          onPoints={(root, points, point) => {
            apply(corrections.setPoints(history.present, root, points));
            setSelection((current) => ({ ...current, root, point }));
          }}
          onDrawn={onDrawn}
          onCancelDrawing={() => setDrawing(null)}
        />
        <ZoomButtons viewer={viewer} />
        <FlagNote flag={flag} onClose={() => setFlag(null)} />
      </section>
      <section className="panel" aria-label={strings.table.plants}>
        {onAccept !== null && (
          <div className="accept">
            <button type="button" className="primary" disabled={photograph.accepted} onClick={accept}>
              {photograph.accepted ? strings.review.accepted : strings.review.accept}
            </button>
            <p className="hint">{strings.review.acceptHint}</p>
          </div>
        )}
        <PlantOverview
          phenotype={phenotype}
          measured={photograph.measured}
          selectedPlant={selection.plant}
          onSelectPlant={selectPlant}
        />
        <CorrectPanel
          history={history}
          selection={selection}
          isDrawing={drawing !== null}
          isComputing={isComputing}
          error={error}
          onCommand={run}
        />
        {photograph.stored !== null && (
          <StoredCorrections
            client={client}
            measurement={photograph.stored.measurementId}
            plants={history.present}
            isSaved={history.present === photograph.stored.plants}
            onSaved={(plants) => dispatch({ kind: "saved", id: photograph.id, plants })}
          />
        )}
        {downloadError !== null && (
          <p role="alert" className="error-text">
            {downloadError}
          </p>
        )}
        <TraitDetails
          phenotype={phenotype}
          measured={photograph.measured}
          selectedPlant={selection.plant}
          onShowFlag={showFlag}
        />
      </section>
    </>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
}

function nextRoot(plants: readonly EditedPlant[], root: string | null): Selection {
  const all = plants.flatMap((plant) => plant.roots.map((each) => ({ plant: plant.id, root: each.id })));
  const next = all[(all.findIndex((each) => each.root === root) + 1) % Math.max(1, all.length)];
  return next === undefined ? NOTHING : { ...next, point: null };
}

function nextPoint(plants: readonly EditedPlant[], selection: Selection, step: 1 | -1): Selection {
  const points =
    selection.root === null ? undefined : corrections.findRoot(plants, selection.root)?.root.points;
  if (points === undefined) return selection;
  const handles = handlesOf(points);
  const current = selection.point === null ? (step === 1 ? -1 : 0) : handles.indexOf(selection.point);
  const next = handles[(current + step + handles.length) % handles.length];
  return { ...selection, point: next ?? null };
}
