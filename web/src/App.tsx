import { type DragEvent, useCallback, useEffect, useMemo, useReducer, useRef, useState } from "react";
import type { ApiClient, MeasureOptions } from "./api/client";
import { DropZone } from "./components/DropZone";
import { ModelsView } from "./components/ModelsView";
import { OptionsForm } from "./components/OptionsForm";
import { QueueList } from "./components/QueueList";
import { ReviewHeader } from "./components/ReviewHeader";
import { ThemeSelect } from "./components/ThemeSelect";
import { Workspace } from "./components/Workspace";
import { saveAllAsCsv } from "./downloads";
import { type DropTarget, ExperimentsView } from "./experiments/ExperimentsView";
import type { OpenedImage } from "./experiments/openImage";
import { type Selection as FileSelection, readDrop } from "./model/files";
import { type EditedPlant, resumeHistory } from "./model/history";
import { hasUnsavedCorrections, type Photograph, photographsReducer } from "./model/photographs";
import { describeWorst, reviewOrder } from "./model/review";
import { SeriesPage, useSeriesChoices } from "./series/SeriesPage";
import { SignInButton } from "./signIn/SignInButton";
import { SignInDialog } from "./signIn/SignInDialog";
import { useSignIn } from "./signIn/useSignIn";
import { strings } from "./strings";
import { describeError, useMeasurements } from "./useMeasurements";
import { useTraits } from "./useTraits";

const DEFAULTS: MeasureOptions = { mmPerPx: null, plateWidthMm: null, expectedPlants: null, rotate: 0 };
const VIEWS = ["photographs", "review", "series", "experiments", "models"] as const;
type View = (typeof VIEWS)[number];

export function App({ client }: { client: ApiClient }) {
  const [photographs, dispatch] = useReducer(photographsReducer, []);
  const [options, setOptions] = useState(DEFAULTS);
  const [view, setView] = useState<View>("photographs");
  const [selectedId, setSelectedId] = useState<number | null>(null);
  const [notice, setNotice] = useState<string | null>(null);
  const [isDropping, setDropping] = useState(false);
  const experimentDrop = useRef<DropTarget | null>(null);
  const setExperimentDrop = useCallback((target: DropTarget | null) => {
    experimentDrop.current = target;
    setNotice(null);
  }, []);
  const seriesChoices = useSeriesChoices();
  const optionsById = useRef(new Map<number, MeasureOptions>());
  const optionsOf = useCallback((id: number) => optionsById.current.get(id) ?? DEFAULTS, []);
  const retry = (id: number) => dispatch({ kind: "status", id, status: { kind: "waiting" } });
  const signIn = useSignIn(client, () => {
    for (const { id, status } of photographs) if (status.kind === "failed") retry(id);
  });
  useMeasurements(client, photographs, optionsOf, dispatch, signIn.require);
  useTraits(client, photographs, dispatch);

  const hasCorrections = photographs.some(hasUnsavedCorrections);
  useEffect(() => {
    if (!hasCorrections) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [hasCorrections]);

  const listed = useMemo(
    () => (view === "review" ? reviewOrder(photographs) : photographs),
    [view, photographs],
  );
  const selected = listed.find((photograph) => photograph.id === selectedId) ?? listed[0];
  const left = useMemo(
    () => reviewOrder(photographs).filter(({ accepted }) => !accepted).length,
    [photographs],
  );

  const add = ({ images, ignored }: FileSelection) => {
    const next = photographs.reduce((max, photograph) => Math.max(max, photograph.id), 0) + 1;
    images.forEach((_, index) => {
      optionsById.current.set(next + index, options);
    });
    if (images.length > 0) dispatch({ kind: "add", files: images });
    if (images.length > 0 && photographs.length === 0) setSelectedId(next);
    setNotice(images.length === 0 ? strings.drop.none : ignored > 0 ? strings.drop.ignored(ignored) : null);
    if (view !== "series") setView("photographs");
  };
  const openStored = ({ file, measurement, corrections }: OpenedImage) => {
    const open = photographs.find(({ stored }) => stored?.measurementId === measurement.id);
    const next = photographs.reduce((max, photograph) => Math.max(max, photograph.id), 0) + 1;
    if (open === undefined) {
      const corrected = corrections.at(-1)?.plants ?? null;
      dispatch({
        kind: "open",
        file,
        phenotype: measurement.phenotype,
        history: resumeHistory(measurement.phenotype, corrected as readonly EditedPlant[] | null),
        measurementId: measurement.id,
      });
    }
    setSelectedId(open?.id ?? next);
    setView("photographs");
  };
  const onDrop = (event: DragEvent) => {
    setDropping(false);
    event.preventDefault();
    const accept = view === "experiments" ? experimentDrop.current : add;
    if (accept === null) {
      setNotice(strings.experiments.openFirst);
      return;
    }
    readDrop(event.dataTransfer).then(accept, (reason: unknown) => setNotice(describeError(reason).message));
  };
  const acceptAndAdvance = (photograph: Photograph) => {
    dispatch({ kind: "accept", id: photograph.id, accepted: true });
    const rest = reviewOrder(photographs).filter(({ id, accepted }) => id !== photograph.id && !accepted);
    if (rest[0] !== undefined) setSelectedId(rest[0].id);
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: files may be dropped anywhere; the buttons do the same
    <div
      className={`app ${isDropping ? "dropping" : ""}`}
      onDragOver={(event) => {
        event.preventDefault();
        setDropping(true);
      }}
      onDragLeave={(event) => {
        if (event.relatedTarget === null) setDropping(false);
      }}
      onDrop={onDrop}
    >
      <a className="skip" href="#workspace">
        {strings.skipToPhotograph}
      </a>
      <header className="bar">
        <h1>
          {strings.appName} <span className="tagline">{strings.tagline}</span>
        </h1>
        <nav aria-label={strings.appName}>
          {VIEWS.map((name) => (
            <button
              key={name}
              type="button"
              aria-current={view === name ? "page" : undefined}
              onClick={() => {
                setView(name);
                setNotice(null);
              }}
            >
              {strings.views[name]}
              {name === "review" && left > 0 && <span className="count">{left}</span>}
            </button>
          ))}
        </nav>
        <span className="spacer" />
        <ThemeSelect />
        <SignInButton signIn={signIn} />
      </header>
      {view === "models" ? (
        <ModelsView key={String(signIn.state.isSignedIn)} client={client} />
      ) : view === "experiments" ? (
        <ExperimentsView
          key={String(signIn.state.isSignedIn)}
          client={client}
          notice={notice}
          onDropTarget={setExperimentDrop}
          onOpenImage={openStored}
          onUnauthorised={signIn.require}
        />
      ) : view === "series" ? (
        <SeriesPage
          client={client}
          photographs={photographs}
          choices={seriesChoices}
          notice={notice}
          onRetry={retry}
          onUnauthorised={signIn.require}
        >
          <DropZone onSelect={add} />
          <OptionsForm options={options} onChange={setOptions} />
        </SeriesPage>
      ) : (
        <main className="workspace" id="workspace">
          <aside className="side">
            {view === "photographs" ? (
              <>
                <DropZone onSelect={add} />
                <OptionsForm options={options} onChange={setOptions} />
                <QueueHeader client={client} photographs={photographs} onError={setNotice} />
              </>
            ) : (
              <ReviewHeader left={left} isEmpty={listed.length === 0} />
            )}
            {notice !== null && (
              <p className="notice" role="status">
                {notice}
              </p>
            )}
            <QueueList
              photographs={listed}
              selectedId={selected?.id ?? null}
              onSelect={setSelectedId}
              onRetry={retry}
              onRemove={(id) => dispatch({ kind: "remove", id })}
              {...(view === "review" ? { note: describeWorst } : {})}
            />
          </aside>
          <Workspace
            key={selected?.id ?? 0}
            client={client}
            photograph={selected}
            dispatch={dispatch}
            onAccept={view === "review" ? acceptAndAdvance : null}
          />
        </main>
      )}
      <SignInDialog
        state={signIn.state}
        onEntra={signIn.signInByEntra}
        onKey={signIn.useKey}
        onClose={signIn.close}
      />
    </div>
  );
}

function QueueHeader({
  client,
  photographs,
  onError,
}: {
  client: ApiClient;
  photographs: readonly Photograph[];
  onError: (message: string) => void;
}) {
  const measured = photographs.filter(({ status }) => status.kind === "measured");
  useEffect(() => {
    document.title =
      measured.length < photographs.length
        ? `${measured.length}/${photographs.length} · ${strings.appName}`
        : strings.appName;
  }, [measured.length, photographs.length]);
  return (
    <div className="queue-header">
      <h2>{strings.queue.title}</h2>
      {photographs.length === 0 ? (
        <p className="hint">{strings.queue.empty}</p>
      ) : (
        <p className="hint" role="status">
          {strings.queue.progress(measured.length, photographs.length)}
        </p>
      )}
      {measured.length > 1 && (
        <button
          type="button"
          onClick={() =>
            saveAllAsCsv(client, measured).catch((reason: unknown) =>
              onError(`${strings.download.failed} ${describeError(reason).message}`),
            )
          }
        >
          {strings.queue.downloadAll}
        </button>
      )}
    </div>
  );
}
