import { type Ref, useMemo } from "react";
import { curveColour, curveIndex } from "../charts/curveColours";
import { formatNumber, formatUnit, traitLabel } from "../model/format";
import { strings } from "../strings";
import { type Axis, axisOf, format, PLOT, type Place, placesOf, spreadOf, WIDTH } from "./boxScale";
import type { Box, Observation } from "./distribution";
import type { TraitColumn } from "./plantTable";

const TEXT = "#17211d";
const MUTED = "#56635d";
const GRID = "#d5dcd9";
const GROUND = "#ffffff";
const LINE_HEIGHT = 13;
const MAX_UPRIGHT_LABELS = 8;
const MAX_LABEL_LENGTH = 18;
const MAX_LINE_LENGTH = 120;
/** Above this number, only the values beyond the whiskers are drawn. */
export const MAX_POINTS = 1500;

export interface BoxplotChartProps {
  ref?: Ref<SVGSVGElement>;
  boxes: readonly Box[];
  trait: TraitColumn;
  /** Names of the factors, for the axis and the legend. */
  factor: string | null;
  second: string | null;
  /** What the figure shows, below it: experiment, number of values, models, and the rules of the boxes. */
  notes: readonly string[];
}

/** Boxplots with the single values. Colours are attributes, so that a saved file has them. */
export function BoxplotChart({ ref, boxes, trait, factor, second, notes }: BoxplotChartProps) {
  const { places, labels } = useMemo(() => placesOf(boxes), [boxes]);
  const axis = useMemo(
    () => axisOf(boxes.flatMap(({ observations }) => observations.map(({ value }) => value))),
    [boxes],
  );
  const subgroups = [...new Set(boxes.flatMap(({ subgroup }) => (subgroup === null ? [] : [subgroup])))].sort(
    new Intl.Collator("en", { numeric: true }).compare,
  );
  const colourOf = (box: Box) => (box.subgroup === null ? 2 : subgroups.indexOf(box.subgroup) + 1);
  const points = boxes.reduce((sum, { observations }) => sum + observations.length, 0);
  const isTilted = labels.length > MAX_UPRIGHT_LABELS;
  const bottom = PLOT.top + PLOT.height;
  const axisTitle = bottom + (isTilted ? 96 : 52);
  const lines = notes.flatMap(wrap);
  const height = axisTitle + 14 + lines.length * LINE_HEIGHT + (subgroups.length > 0 ? 18 : 0);
  const unit = formatUnit(trait.unit);
  return (
    <svg
      ref={ref ?? null}
      className="boxplot"
      viewBox={`0 0 ${WIDTH} ${height}`}
      role="img"
      aria-label={strings.plots.chart(traitLabel(trait.trait), labels.length)}
      fontFamily="system-ui, sans-serif"
      fontSize="11"
    >
      <text className="chart-text" x={PLOT.left} y={18} fill={TEXT} fontSize="14" fontWeight="600">
        {strings.plots.yAxis(traitLabel(trait.trait), unit)}
      </text>
      <Grid axis={axis} />
      {places.map((place) => (
        <BoxMarks
          key={JSON.stringify([place.box.group, place.box.subgroup])}
          place={place}
          axis={axis}
          unit={trait.unit}
          colour={colourOf(place.box)}
          hasAllPoints={points <= MAX_POINTS}
        />
      ))}
      {labels.map(({ group, centre }) => (
        <text
          key={group}
          className="chart-text"
          x={format(centre)}
          y={bottom + 28}
          fill={TEXT}
          textAnchor={isTilted ? "end" : "middle"}
          {...(isTilted ? { transform: `rotate(-35 ${format(centre)} ${bottom + 28})` } : {})}
        >
          {shorten(groupName(group, factor))}
        </text>
      ))}
      {factor !== null && (
        <text
          className="chart-muted"
          x={(PLOT.left + PLOT.right) / 2}
          y={axisTitle}
          fill={MUTED}
          textAnchor="middle"
        >
          {factor}
        </text>
      )}
      {subgroups.length > 0 && second !== null && (
        <Legend name={second} subgroups={subgroups} top={axisTitle + 18} />
      )}
      {lines.map((line, index) => (
        <text
          key={line}
          className="chart-muted"
          x={PLOT.left}
          y={axisTitle + 18 + (subgroups.length > 0 ? 18 : 0) + index * LINE_HEIGHT}
          fill={MUTED}
          fontSize="10"
        >
          {line}
        </text>
      ))}
    </svg>
  );
}

function Grid({ axis }: { axis: Axis }) {
  return axis.ticks.map((tick) => (
    <g key={tick}>
      <line
        className="chart-grid"
        x1={PLOT.left}
        x2={PLOT.right}
        y1={format(axis.y(tick))}
        y2={format(axis.y(tick))}
        stroke={GRID}
      />
      <text
        className="chart-muted"
        x={PLOT.left - 8}
        y={format(axis.y(tick) + 4)}
        fill={MUTED}
        textAnchor="end"
      >
        {tick}
      </text>
    </g>
  ));
}

function BoxMarks({
  place: { box, centre, width },
  axis,
  unit,
  colour,
  hasAllPoints,
}: {
  place: Place;
  axis: Axis;
  unit: string;
  colour: number;
  hasAllPoints: boolean;
}) {
  const { low, q1, median, q3, high } = box.summary;
  const [left, right] = [centre - width / 2, centre + width / 2];
  const line = (from: number, to: number) => ({
    x1: format(centre),
    x2: format(centre),
    y1: format(axis.y(from)),
    y2: format(axis.y(to)),
    stroke: "currentColor",
    strokeWidth: 1.2,
  });
  return (
    <g className={`curve curve-${curveIndex(colour)}`} color={curveColour(colour)} data-group={box.group}>
      {box.observations.length > 1 && (
        <>
          <line {...line(q3, high)} />
          <line {...line(low, q1)} />
          <rect
            x={format(left)}
            y={format(axis.y(q3))}
            width={format(width)}
            height={format(Math.max(axis.y(q1) - axis.y(q3), 0.5))}
            fill="currentColor"
            fillOpacity={0.16}
            stroke="currentColor"
            strokeWidth={1.2}
          />
          <line
            x1={format(left)}
            x2={format(right)}
            y1={format(axis.y(median))}
            y2={format(axis.y(median))}
            stroke="currentColor"
            strokeWidth={2.4}
          />
        </>
      )}
      {box.observations.map((observation, index) =>
        hasAllPoints || observation.value < low || observation.value > high ? (
          <Point
            // biome-ignore lint/suspicious/noArrayIndexKey: values of a box have no other identity
            key={index}
            observation={observation}
            x={centre + spreadOf(index) * width * 0.32}
            y={axis.y(observation.value)}
            unit={unit}
          />
        ) : null,
      )}
      <text
        className="chart-muted"
        x={format(centre)}
        y={PLOT.top + PLOT.height + 14}
        fill={MUTED}
        fontSize="10"
        textAnchor="middle"
      >
        {strings.plots.count(box.observations.length)}
      </text>
    </g>
  );
}

function Point({
  observation,
  x,
  y,
  unit,
}: {
  observation: Observation;
  x: number;
  y: number;
  unit: string;
}) {
  const words = `${observation.name}: ${formatNumber(observation.value, unit)} ${formatUnit(unit)}`.trim();
  return (
    <circle
      className={observation.isOk ? "point" : "point doubtful"}
      cx={format(x)}
      cy={format(y)}
      r={2.6}
      fill={observation.isOk ? "currentColor" : GROUND}
      stroke="currentColor"
      strokeWidth={1.1}
    >
      <title>{observation.isOk ? words : strings.plots.doubtful(words)}</title>
    </circle>
  );
}

function Legend({ name, subgroups, top }: { name: string; subgroups: readonly string[]; top: number }) {
  const step = (PLOT.right - PLOT.left) / (subgroups.length + 1);
  return (
    <g>
      <text className="chart-muted" x={PLOT.left} y={top} fill={MUTED}>
        {shorten(name)}
      </text>
      {subgroups.map((subgroup, index) => (
        <g key={subgroup} className={`curve curve-${curveIndex(index + 1)}`} color={curveColour(index + 1)}>
          <rect
            x={format(PLOT.left + (index + 1) * step)}
            y={top - 9}
            width={10}
            height={10}
            fill="currentColor"
            fillOpacity={0.5}
            stroke="currentColor"
          />
          <text className="chart-text" x={format(PLOT.left + (index + 1) * step + 14)} y={top} fill={TEXT}>
            {shorten(groupName(subgroup, name))}
          </text>
        </g>
      ))}
    </g>
  );
}

export function groupName(group: string, factor: string | null): string {
  if (factor === null) return strings.plots.allPlants;
  return group === "" ? strings.plots.noLevel : group;
}

function shorten(text: string): string {
  return text.length > MAX_LABEL_LENGTH ? `${text.slice(0, MAX_LABEL_LENGTH - 1)}…` : text;
}

/** Return a text in lines of the figure. A long word, such as a digest, is broken. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((each) => each.match(/.{1,100}/gu) ?? [])) {
    if (line !== "" && line.length + word.length + 1 > MAX_LINE_LENGTH) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}
