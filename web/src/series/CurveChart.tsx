import { type MouseEvent, type Ref, useId, useMemo } from "react";
import type { PlateSeries } from "../api/types";
import { curveColour, curveIndex } from "../charts/curveColours";
import { formatUnit } from "../model/format";
import { strings } from "../strings";
import {
  type Axes,
  axesOf,
  bandOf,
  format,
  heightOf,
  PLOT,
  POINT_RADIUS,
  panelTop,
  runsOf,
  spreadLabels,
  WIDTH,
} from "./chartScale";
import { CURVE_TRAITS, type Curve, type CurvePoint, type CurveTrait, hoursOf } from "./curves";
import { describePoint, formatHours } from "./pointWords";

const TEXT = "#17211d";
const MUTED = "#56635d";
const GRID = "#d5dcd9";
const GROUND = "#ffffff";
/** Ring around the values of the photograph that is shown. */
const RING_RADIUS = 6;

export interface CurveChartProps {
  ref?: Ref<SVGSVGElement>;
  plate: PlateSeries;
  curves: Readonly<Record<CurveTrait, readonly Curve[]>>;
  photograph: number;
  selectedTrack: number | null;
  onPhotograph: (photograph: number) => void;
  onTrack: (track: number | null) => void;
}

/**
 * Growth curves of all plants, one panel for each trait. Colours are attributes, so that a saved file has them; the
 * style sheet replaces them in the dark theme.
 */
export function CurveChart(props: CurveChartProps) {
  const { plate, curves, photograph, selectedTrack, onPhotograph, onTrack } = props;
  const lastHours = hoursOf(plate, plate.photographs.length - 1);
  const height = heightOf(CURVE_TRAITS.length);
  const onClick = (event: MouseEvent) => {
    const target = event.target as Element;
    const track = target.closest("[data-track]")?.getAttribute("data-track");
    const index = target.closest("[data-photograph]")?.getAttribute("data-photograph");
    if (track !== null && track !== undefined) onTrack(Number(track));
    if (index !== null && index !== undefined) onPhotograph(Number(index));
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the slider and the buttons of the plants do the same by keyboard
    <svg
      ref={props.ref ?? null}
      className="curves"
      viewBox={`0 0 ${WIDTH} ${height}`}
      role="img"
      aria-label={strings.series.chart(plate.tracks.length, formatHours(lastHours))}
      fontFamily="system-ui, sans-serif"
      fontSize="10"
      onClick={onClick}
    >
      {CURVE_TRAITS.map((trait, index) => (
        <Panel
          key={trait}
          top={panelTop(index)}
          plate={plate}
          trait={trait}
          curves={curves[trait]}
          photograph={photograph}
          selectedTrack={selectedTrack}
        />
      ))}
      <text
        className="chart-muted"
        x={(PLOT.left + PLOT.right) / 2}
        y={height - 5}
        fill={MUTED}
        textAnchor="middle"
      >
        {strings.series.xAxis}
      </text>
    </svg>
  );
}

interface PanelProps {
  top: number;
  plate: PlateSeries;
  trait: CurveTrait;
  curves: readonly Curve[];
  photograph: number;
  selectedTrack: number | null;
}

function Panel({ top, plate, trait, curves, photograph, selectedTrack }: PanelProps) {
  const lastHours = hoursOf(plate, plate.photographs.length - 1);
  const clip = useId();
  const axes = useMemo(
    () => axesOf(curves, lastHours, trait === "lateral_root_count"),
    [curves, lastHours, trait],
  );
  const unit = curves.find(({ points }) => points.length > 0)?.points[0]?.unit;
  // the selected curve is drawn last, above the others
  const ordered = [...curves].sort(
    (a, b) => Number(a.track === selectedTrack) - Number(b.track === selectedTrack),
  );
  return (
    <g transform={`translate(0 ${top})`} data-trait={trait}>
      <text className="chart-text" x={PLOT.left} y={13} fill={TEXT} fontSize="12" fontWeight="600">
        {strings.series.yAxis(strings.series.curves[trait], formatUnit(unit ?? ""))}
      </text>
      <clipPath id={clip}>
        <rect x={PLOT.left} y={PLOT.top} width={PLOT.right - PLOT.left} height={PLOT.height} />
      </clipPath>
      <Grid axes={axes} />
      <PhotographColumns plate={plate} axes={axes} photograph={photograph} />
      {unit === undefined && (
        <text
          className="chart-muted"
          x={WIDTH / 2}
          y={PLOT.top + PLOT.height / 2}
          fill={MUTED}
          textAnchor="middle"
        >
          {strings.series.noValues}
        </text>
      )}
      {ordered.map((curve) => (
        <CurveMarks
          key={curve.track}
          curve={curve}
          axes={axes}
          clip={clip}
          photograph={photograph}
          isSelected={curve.track === selectedTrack}
          isDimmed={selectedTrack !== null && curve.track !== selectedTrack}
        />
      ))}
      <Labels curves={curves} axes={axes} selectedTrack={selectedTrack} />
    </g>
  );
}

function Grid({ axes }: { axes: Axes }) {
  const bottom = PLOT.top + PLOT.height;
  return (
    <g>
      {axes.valueTicks.map((value) => (
        <g key={value}>
          <line
            className="chart-grid"
            x1={PLOT.left}
            x2={PLOT.right}
            y1={format(axes.y(value))}
            y2={format(axes.y(value))}
            stroke={GRID}
          />
          <text
            className="chart-muted"
            x={PLOT.left - 6}
            y={format(axes.y(value) + 3.5)}
            fill={MUTED}
            textAnchor="end"
          >
            {value}
          </text>
        </g>
      ))}
      {axes.hourTicks.map((hours) => (
        <text
          key={hours}
          className="chart-muted"
          x={format(axes.x(hours))}
          y={bottom + 14}
          fill={MUTED}
          textAnchor="middle"
        >
          {formatHours(hours)}
        </text>
      ))}
    </g>
  );
}

/** The line of the photograph that is shown, and an area of each photograph for the pointer. */
function PhotographColumns({
  plate,
  axes,
  photograph,
}: {
  plate: PlateSeries;
  axes: Axes;
  photograph: number;
}) {
  const places = plate.photographs.map((_, index) => axes.x(hoursOf(plate, index)));
  const now = places[photograph];
  return (
    <>
      {now !== undefined && (
        <line
          className="chart-now"
          x1={format(now)}
          x2={format(now)}
          y1={PLOT.top}
          y2={PLOT.top + PLOT.height}
          stroke={TEXT}
          strokeDasharray="2 2"
        />
      )}
      {places.map((place, index) => {
        const left = index === 0 ? PLOT.left - 8 : ((places[index - 1] as number) + place) / 2;
        const right =
          index === places.length - 1 ? PLOT.right + 8 : (place + (places[index + 1] as number)) / 2;
        return (
          <rect
            key={plate.photographs[index]?.sha256 ?? index}
            className="chart-hit"
            data-photograph={index}
            x={format(left)}
            y={PLOT.top}
            width={format(Math.max(0, right - left))}
            height={PLOT.height}
            fill="transparent"
          />
        );
      })}
    </>
  );
}

function CurveMarks({
  curve,
  axes,
  clip,
  photograph,
  isSelected,
  isDimmed,
}: {
  curve: Curve;
  axes: Axes;
  /** Identifier of the area to which bands are cut. */
  clip: string;
  photograph: number;
  isSelected: boolean;
  isDimmed: boolean;
}) {
  const bands = runsOf(curve.points)
    .map((run) => bandOf(run, axes) ?? "")
    .join("");
  return (
    <g
      className={`curve curve-${curveIndex(curve.track)}`}
      color={curveColour(curve.track)}
      opacity={isDimmed ? 0.35 : 1}
      data-track={curve.track}
    >
      {!isDimmed && bands !== "" && (
        <path
          className="band"
          clipPath={`url(#${clip})`}
          d={bands}
          fill="currentColor"
          fillOpacity={0.18}
          stroke="currentColor"
          strokeOpacity={0.18}
        />
      )}
      {curve.points.slice(1).map((point, index) => (
        <Segment
          key={point.photograph}
          from={curve.points[index] as CurvePoint}
          to={point}
          axes={axes}
          isSelected={isSelected}
        />
      ))}
      {curve.points.map((point) => (
        <Point
          key={point.photograph}
          track={curve.track}
          point={point}
          axes={axes}
          isShown={point.photograph === photograph}
        />
      ))}
    </g>
  );
}

/** A line between two values. It is dashed if the later value is doubtful, or if the plant is missing between them. */
function Segment({
  from,
  to,
  axes,
  isSelected,
}: {
  from: CurvePoint;
  to: CurvePoint;
  axes: Axes;
  isSelected: boolean;
}) {
  const isDashed = to.doubts.length > 0 || to.photograph > from.photograph + 1;
  return (
    <line
      x1={format(axes.x(from.hours))}
      y1={format(axes.y(from.value))}
      x2={format(axes.x(to.hours))}
      y2={format(axes.y(to.value))}
      stroke="currentColor"
      strokeWidth={isSelected ? 2.6 : 1.6}
      {...(isDashed ? { strokeDasharray: "4 3" } : {})}
    />
  );
}

function Point({
  track,
  point,
  axes,
  isShown,
}: {
  track: number;
  point: CurvePoint;
  axes: Axes;
  isShown: boolean;
}) {
  const isDoubtful = point.doubts.length > 0;
  const [x, y] = [axes.x(point.hours), axes.y(point.value)];
  return (
    <>
      <circle
        className={isDoubtful ? "point doubtful" : "point"}
        data-photograph={point.photograph}
        cx={format(x)}
        cy={format(y)}
        r={POINT_RADIUS}
        fill={isDoubtful ? GROUND : "currentColor"}
        stroke="currentColor"
        strokeWidth="1.6"
      >
        <title>{describePoint(track, point)}</title>
      </circle>
      {isShown && (
        <rect
          className="chart-now"
          x={format(x - RING_RADIUS)}
          y={format(y - RING_RADIUS)}
          width={2 * RING_RADIUS}
          height={2 * RING_RADIUS}
          rx={RING_RADIUS}
          fill="none"
          stroke={TEXT}
        />
      )}
    </>
  );
}

/** The number of each plant at the end of its curve, so that colour is not the only information. */
function Labels({
  curves,
  axes,
  selectedTrack,
}: {
  curves: readonly Curve[];
  axes: Axes;
  selectedTrack: number | null;
}) {
  const ends = curves.flatMap(({ track, points }) => {
    const point = points.at(-1);
    return point === undefined ? [] : [{ track, point }];
  });
  const heights = spreadLabels(ends.map(({ point }) => axes.y(point.value)));
  return (
    <g>
      {ends.map(({ track, point }, index) => (
        <text
          key={track}
          className={`curve curve-${curveIndex(track)}`}
          color={curveColour(track)}
          data-track={track}
          x={format(axes.x(point.hours) + 8)}
          y={format((heights[index] as number) + 3.5)}
          fill="currentColor"
          fontWeight={track === selectedTrack ? 700 : 600}
        >
          {track}
        </text>
      ))}
    </g>
  );
}
