import type { PlateSeries } from "../api/types";
import { formatNumber, formatUnit } from "../model/format";
import { strings } from "../strings";
import { CURVE_TRAITS, type Curve, type CurvePoint, type CurveTrait, hoursOf } from "./curves";
import { doubtWords, formatHours } from "./pointWords";

/** The values of the curves as a table, for screen readers and for reading numbers. */
export function ValueTable({
  plate,
  curves,
}: {
  plate: PlateSeries;
  curves: Readonly<Record<CurveTrait, readonly Curve[]>>;
}) {
  const caption = strings.series.valuesCaption(plate.plate);
  return (
    <details className="options">
      <summary>{strings.series.values}</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs the keyboard */}
      <section className="table-scroll" tabIndex={0} aria-label={caption}>
        <table className="series-values">
          <caption>{caption}</caption>
          <thead>
            <tr>
              <th scope="col">{strings.series.plant}</th>
              <th scope="col" className="number">
                {strings.series.time}
                <span className="unit">h</span>
              </th>
              {CURVE_TRAITS.map((trait) => (
                <th scope="col" key={trait} className="number">
                  {strings.series.curves[trait]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {plate.tracks.flatMap((track) =>
              track.observations.map(({ photograph }) => (
                <tr key={`${track.id} ${photograph}`}>
                  <th scope="row">{track.id}</th>
                  <td className="number">{formatHours(hoursOf(plate, photograph))}</td>
                  {CURVE_TRAITS.map((trait) => (
                    <ValueCell key={trait} point={pointOf(curves[trait], track.id, photograph)} />
                  ))}
                </tr>
              )),
            )}
          </tbody>
        </table>
      </section>
    </details>
  );
}

function ValueCell({ point }: { point: CurvePoint | undefined }) {
  if (point === undefined) return <td className="number">{strings.table.unknown}</td>;
  const { value, unit, interval, doubts } = point;
  return (
    <td className="number">
      {formatNumber(value, unit)} {formatUnit(unit)}
      {interval !== null && (
        <span className="was">{interval.map((bound) => formatNumber(bound, unit)).join(" – ")}</span>
      )}
      {doubts.length > 0 && <span className="was">{doubts.map(doubtWords).join(", ")}</span>}
    </td>
  );
}

function pointOf(curves: readonly Curve[], track: number, photograph: number): CurvePoint | undefined {
  return curves
    .find((curve) => curve.track === track)
    ?.points.find((point) => point.photograph === photograph);
}
