import { useMemo, useRef, useState } from "react";
import type { ApiClient } from "../api/client";
import type { Flag, PlateSeries, SeriesPhotograph } from "../api/types";
import { saveSvg } from "../charts/saveSvg";
import { FlagNote, LayerToggles, ZoomButtons } from "../components/ViewerControls";
import { save } from "../downloads";
import { strings } from "../strings";
import { describeError } from "../useMeasurements";
import type { Layer, Layers, Selection } from "../viewer/scene";
import { Viewer, type ViewerHandle } from "../viewer/Viewer";
import { CurveChart } from "./CurveChart";
import { choiceOf } from "./choices";
import { CURVE_TRAITS, type Curve, type CurveTrait, curvesOf } from "./curves";
import type { Followed } from "./followSeries";
import { numberByTrack } from "./numbered";
import { PhotographList, SeriesSettings } from "./PhotographList";
import { FlagMessages, PlantList } from "./PlantList";
import type { SeriesProps } from "./SeriesPage";
import { chosenEntries, type Entry, entriesOf } from "./seriesRequest";
import { TimeSlider } from "./TimeSlider";
import { useSeries } from "./useSeries";
import { ValueTable } from "./ValueTable";
import "./series.css";

/** The photographs of a plate on several days: choose them, and see the growth of each plant. */
export default function SeriesView(props: SeriesProps) {
  const { client, photographs, notice, children, onRetry, onUnauthorised } = props;
  const [choices, setChoices] = props.choices;
  const [plateName, setPlateName] = useState<string | null>(null);
  const [shown, setShown] = useState<number | null>(null);
  const entries = useMemo(() => chosenEntries(photographs, choices), [photographs, choices]);
  const chosen = photographs.filter(({ id }) => choiceOf(choices, id).isIncluded);
  const isMeasuring = chosen.some(({ status }) => status.kind !== "measured" && status.kind !== "failed");
  const [series, retry] = useSeries(client, isMeasuring ? null : entries, choices, onUnauthorised);
  const { followed, error } = series;
  const plates = followed?.result.plates ?? [];
  const plate = plates.find((each) => each.plate === plateName) ?? plates[0];
  const joined = useMemo(
    () => (plate === undefined || followed === null ? [] : entriesOf(plate, followed.entries)),
    [plate, followed],
  );
  const timed = useMemo(() => photographsById(followed), [followed]);
  const photograph = Math.max(
    0,
    joined.findIndex((entry) => entry?.id === shown),
  );
  const show = (id: number) => {
    setShown(id);
    const found = followed?.result.plates.find((each) =>
      entriesOf(each, followed.entries).some((entry) => entry?.id === id),
    );
    if (found !== undefined) setPlateName(found.plate);
  };
  return (
    <main className="workspace" id="workspace">
      <aside className="side">
        {children}
        {notice !== null && (
          <p className="notice" role="status">
            {notice}
          </p>
        )}
        <SeriesSettings choices={choices} onChoices={setChoices} />
        <PhotographList
          photographs={photographs}
          choices={choices}
          timed={timed}
          failures={series.failures}
          onChoices={setChoices}
          onRetry={onRetry}
          onShow={show}
        />
      </aside>
      {plate === undefined || followed === null ? (
        <section className="empty">
          {error !== null ? (
            <>
              <p role="alert" className="error-text">
                <strong>{strings.series.failed}</strong> {error}
              </p>
              <p>
                <button type="button" onClick={retry}>
                  {strings.series.retry}
                </button>
              </p>
            </>
          ) : (
            <p role="status">
              {isMeasuring
                ? strings.series.waiting(entries.length, chosen.length)
                : series.isFollowing
                  ? strings.series.following
                  : series.failures.size > 0
                    ? strings.series.allLeftOut
                    : strings.series.tooFew}
            </p>
          )}
        </section>
      ) : (
        <PlateView
          key={plate.plate}
          client={client}
          followed={followed}
          plate={plate}
          entries={joined}
          photograph={photograph}
          isFollowing={series.isFollowing}
          onPhotograph={(index) => setShown(joined[index]?.id ?? null)}
          onPlate={(name) => {
            setPlateName(name);
            setShown(null);
          }}
        />
      )}
    </main>
  );
}

/** Return the photograph of the result for each photograph of the queue. */
function photographsById(followed: Followed | null): Map<number, SeriesPhotograph> {
  const found = new Map<number, SeriesPhotograph>();
  for (const plate of followed?.result.plates ?? [])
    entriesOf(plate, followed?.entries ?? []).forEach((entry, index) => {
      const photograph = plate.photographs[index];
      if (entry !== undefined && photograph !== undefined) found.set(entry.id, photograph);
    });
  return found;
}

const LAYERS: readonly Layer[] = ["photograph", "roots", "plate", "flags"];
const SHOWN: Layers = {
  photograph: true,
  organs: false,
  roots: true,
  landmarks: false,
  plate: false,
  flags: false,
};

interface PlateViewProps {
  client: ApiClient;
  followed: Followed;
  plate: PlateSeries;
  entries: readonly (Entry | undefined)[];
  photograph: number;
  isFollowing: boolean;
  onPhotograph: (index: number) => void;
  onPlate: (name: string) => void;
}

/** One plate through time: the photograph at the slider, and the curves, plants and remarks beside it. */
function PlateView(props: PlateViewProps) {
  const { followed, plate, entries, photograph, onPhotograph } = props;
  const [track, setTrack] = useState<number | null>(null);
  const chart = useRef<SVGSVGElement>(null);
  const curves = useMemo(() => allCurves(plate, entries), [plate, entries]);
  const selected = plate.tracks.some(({ id }) => id === track) ? track : null;
  const flags = (found: readonly Flag[]) => found.map((flag) => ({ flag, photograph: null }));
  return (
    <>
      <Stage
        plate={plate}
        entries={entries}
        photograph={photograph}
        track={selected}
        onPhotograph={onPhotograph}
        onTrack={setTrack}
      />
      <section className="panel" aria-label={strings.series.title} aria-busy={props.isFollowing}>
        {followed.result.plates.length > 1 && (
          <label className="row">
            <span className="label">{strings.series.plate}</span>
            <select value={plate.plate} onChange={(event) => props.onPlate(event.target.value)}>
              {followed.result.plates.map((each) => (
                <option key={each.plate}>{each.plate}</option>
              ))}
            </select>
          </label>
        )}
        <Downloads client={props.client} followed={followed} plate={plate.plate} chart={chart} />
        <CurveChart
          ref={chart}
          plate={plate}
          curves={curves}
          photograph={photograph}
          selectedTrack={selected}
          onPhotograph={onPhotograph}
          onTrack={setTrack}
        />
        <p className="hint">{strings.series.legend}</p>
        <PlantList
          plate={plate}
          lengths={curves.primary_root_length}
          photograph={photograph}
          selectedTrack={selected}
          onTrack={setTrack}
          onPhotograph={onPhotograph}
        />
        <FlagMessages
          title={strings.series.photographFlags}
          flags={flags(plate.photographs[photograph]?.flags ?? [])}
          onPhotograph={onPhotograph}
        />
        <FlagMessages
          title={strings.series.plateFlags}
          flags={flags(plate.flags)}
          onPhotograph={onPhotograph}
        />
        <ValueTable plate={plate} curves={curves} />
      </section>
    </>
  );
}

function allCurves(
  plate: PlateSeries,
  entries: readonly (Entry | undefined)[],
): Record<CurveTrait, readonly Curve[]> {
  const curves = CURVE_TRAITS.map((trait) => [trait, curvesOf(plate, entries, trait)]);
  return Object.fromEntries(curves) as Record<CurveTrait, readonly Curve[]>;
}

/** The photograph at the slider with its roots. A click on a root selects its plant. */
function Stage({
  plate,
  entries,
  photograph,
  track,
  onPhotograph,
  onTrack,
}: {
  plate: PlateSeries;
  entries: readonly (Entry | undefined)[];
  photograph: number;
  track: number | null;
  onPhotograph: (index: number) => void;
  onTrack: (track: number | null) => void;
}) {
  const [layers, setLayers] = useState(SHOWN);
  const [flag, setFlag] = useState<Flag | null>(null);
  const viewer = useRef<ViewerHandle>(null);
  const entry = entries[photograph];
  const numbered = useMemo(() => numberByTrack(entries, plate, photograph), [entries, plate, photograph]);
  const selection: Selection = { plant: track, root: null, point: null };
  return (
    <section className="stage" aria-label={entry?.name ?? strings.series.title}>
      <div className="toolbar">
        <TimeSlider plate={plate} photograph={photograph} onPhotograph={onPhotograph} />
        <LayerToggles layers={layers} all={LAYERS} onChange={setLayers} />
      </div>
      {entry !== undefined && numbered !== null && (
        <Viewer
          ref={viewer}
          file={entry.file}
          phenotype={numbered.phenotype}
          plants={numbered.plants}
          layers={layers}
          selection={selection}
          isDrawing={false}
          onSelect={({ plant }) => onTrack(plant !== null && plant > 0 ? plant : null)}
          onFlag={setFlag}
          onPoints={() => {}}
          onDrawn={() => {}}
          onCancelDrawing={() => {}}
        />
      )}
      <ZoomButtons viewer={viewer} />
      <FlagNote flag={flag} onClose={() => setFlag(null)} />
    </section>
  );
}

/** Files of the series. The server writes the tables, so that they are those of `thale series`. */
function Downloads({
  client,
  followed,
  plate,
  chart,
}: {
  client: ApiClient;
  followed: Followed;
  plate: string;
  chart: React.RefObject<SVGSVGElement | null>;
}) {
  const [error, setError] = useState<string | null>(null);
  const download = (query: string, name: string) => {
    setError(null);
    const init = { method: "POST", body: JSON.stringify(followed.request) };
    client
      .blob(`v1/series${query}`, "text/csv", init)
      .then((blob) => save(blob, name))
      .catch((reason: unknown) => setError(`${strings.download.failed} ${describeError(reason).message}`));
  };
  return (
    <div className="row">
      <span className="visually-hidden">{strings.series.downloads}</span>
      <button type="button" onClick={() => download("", "series.csv")}>
        {strings.series.csv}
      </button>
      <button type="button" onClick={() => download("?rows=growth", "growth.csv")}>
        {strings.series.growthCsv}
      </button>
      <button
        type="button"
        onClick={() => {
          if (chart.current !== null) saveSvg(chart.current, `${plate.replaceAll(/[^\w.-]+/g, "_")}.svg`);
        }}
      >
        {strings.series.svg}
      </button>
      {error !== null && (
        <p role="alert" className="error-text">
          {error}
        </p>
      )}
    </div>
  );
}
