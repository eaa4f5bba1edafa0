import type { PlateSeries, Track } from "../api/types";
import { Swatch } from "../components/TraitPanel";
import { formatNumber } from "../model/format";
import { strings } from "../strings";
import { plantColour } from "../viewer/colours";
import { type Curve, flagsOf, type PlacedFlag } from "./curves";
import { doubtWords } from "./pointWords";

export interface PlantListProps {
  plate: PlateSeries;
  /** Curves of the primary root length. */
  lengths: readonly Curve[];
  photograph: number;
  selectedTrack: number | null;
  onTrack: (track: number | null) => void;
  onPhotograph: (photograph: number) => void;
}

/** The plants with their length on the photograph, their growth, and the remarks about them in words. */
export function PlantList(props: PlantListProps) {
  const { plate, selectedTrack } = props;
  const selected = plate.tracks.find(({ id }) => id === selectedTrack);
  if (plate.tracks.length === 0) return <p>{strings.series.noPlants}</p>;
  return (
    <>
      <div className="table-scroll">
        <table className="plants series-plants">
          <caption>{strings.series.plants}</caption>
          <thead>
            <tr>
              <th scope="col">{strings.series.plant}</th>
              <th scope="col" className="number">
                {strings.series.length}
                <span className="unit">mm</span>
              </th>
              <th scope="col" className="number">
                {strings.series.growth}
                <span className="unit">mm/day</span>
              </th>
              <th scope="col">{strings.series.remarks}</th>
            </tr>
          </thead>
          <tbody>
            {plate.tracks.map((track) => (
              <PlantRow key={track.id} {...props} track={track} />
            ))}
          </tbody>
        </table>
      </div>
      {selected !== undefined && (
        <FlagMessages
          title={`${strings.series.plant} ${selected.id}`}
          flags={flagsOf(plate, selected)}
          onPhotograph={props.onPhotograph}
        />
      )}
    </>
  );
}

function PlantRow({
  plate,
  lengths,
  photograph,
  selectedTrack,
  onTrack,
  onPhotograph,
  track,
}: PlantListProps & { track: Track }) {
  const isSelected = track.id === selectedTrack;
  const point = lengths
    .find((curve) => curve.track === track.id)
    ?.points.find((each) => each.photograph === photograph);
  const rate = track.growth.find(({ trait, scope }) => trait === "primary_root_length" && scope === "series");
  return (
    <tr aria-selected={isSelected}>
      <th scope="row">
        <button
          type="button"
          className="plant-button"
          aria-pressed={isSelected}
          onClick={() => onTrack(isSelected ? null : track.id)}
        >
          <Swatch colour={plantColour(track.id)} />
          {track.id}
        </button>
      </th>
      <td className="number" data-length={track.id}>
        {point === undefined ? (
          <>
            {strings.table.unknown}
            <span className="visually-hidden"> {strings.series.notSeen}</span>
          </>
        ) : (
          <>
            {formatNumber(point.value, point.unit)}
            {point.doubts.length > 0 && <Doubt words={point.doubts.map(doubtWords).join(", ")} />}
          </>
        )}
      </td>
      <td className="number">
        {formatNumber(rate?.rate)}
        {rate?.quality === "uncertain" && <Doubt words={strings.table.qualities.uncertain} />}
        {rate?.interval != null && (
          <span className="was">
            {rate.interval.map((bound) => formatNumber(bound as number)).join(" – ")}
          </span>
        )}
      </td>
      <td className="remarks">
        <Remarks flags={flagsOf(plate, track)} onPhotograph={onPhotograph} />
      </td>
    </tr>
  );
}

function Doubt({ words }: { words: string }) {
  return (
    <span className="mark" title={words}>
      ?<span className="visually-hidden"> {words}</span>
    </span>
  );
}

/** Remarks in a few words. Those about one photograph show it. */
function Remarks({
  flags,
  onPhotograph,
}: {
  flags: readonly PlacedFlag[];
  onPhotograph: (photograph: number) => void;
}) {
  return flags.map(({ flag, photograph }) =>
    photograph === null ? (
      <span key={flag.code + flag.message} className="remark" title={flag.message}>
        {doubtWords(flag.code)}
      </span>
    ) : (
      <button
        key={flag.code + flag.message}
        type="button"
        className="link remark"
        title={flag.message}
        onClick={() => onPhotograph(photograph)}
      >
        {doubtWords(flag.code)}
      </button>
    ),
  );
}

/** Remarks as the server words them, with numbers and the remedy. */
export function FlagMessages({
  title,
  flags,
  onPhotograph,
}: {
  title: string;
  flags: readonly PlacedFlag[];
  onPhotograph: (photograph: number) => void;
}) {
  if (flags.length === 0) return null;
  return (
    <section className="flags" aria-label={title}>
      <h3>{title}</h3>
      <ul>
        {flags.map(({ flag, photograph }) => (
          <li key={flag.code + flag.message}>
            <code>{flag.code}</code> {flag.message}{" "}
            {photograph !== null && (
              <button type="button" className="link" onClick={() => onPhotograph(photograph)}>
                {strings.series.atPhotograph(photograph + 1)}
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
