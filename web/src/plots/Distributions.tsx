import { useEffect, useId, useMemo, useRef, useState } from "react";
import type { Experiment } from "../api/types";
import { fileName, savePng, saveSvg } from "../charts/saveSvg";
import { formatUnit, traitLabel } from "../model/format";
import { strings } from "../strings";
import { BoxplotChart, MAX_POINTS } from "./BoxplotChart";
import { type Box, type Choice, distribute } from "./distribution";
import { type PlantTable, parsePlantTable } from "./plantTable";
import { SummaryTable } from "./SummaryTable";
import "../charts/curveColours.css";
import "./plots.css";

const MAX_BOXES = 60;
const MAX_SUBGROUPS = 8;
const FIRST_TRAIT = "primary_root_length";

export interface DistributionsProps {
  experiment: Experiment;
  /** Reads the wide table of the experiment. */
  readTable: () => Promise<Blob>;
  describeFailure: (reason: unknown) => string;
}

/** Boxplots of the traits of an experiment by the factors of its design table. */
export default function Distributions({ experiment, readTable, describeFailure }: DistributionsProps) {
  const [table, setTable] = useState<PlantTable | null>(null);
  const [error, setError] = useState<string | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: read again when the experiment has changed
  useEffect(() => {
    let isCurrent = true;
    readTable()
      .then((blob) => blob.text())
      .then(parsePlantTable)
      .then(
        (found) => {
          if (isCurrent) setTable(found);
        },
        (reason: unknown) => {
          if (isCurrent) setError(describeFailure(reason));
        },
      );
    return () => {
      isCurrent = false;
    };
  }, [experiment]);
  if (error !== null)
    return (
      <p role="alert" className="error-text">
        {error}
      </p>
    );
  if (table === null) return <p className="hint">{strings.models.loading}</p>;
  if (table.rows.length === 0 || table.traits.length === 0) return <p>{strings.plots.noPlants}</p>;
  return <Figure experiment={experiment} table={table} />;
}

function Figure({ experiment, table }: { experiment: Experiment; table: PlantTable }) {
  const [choice, setChoice] = useState<Choice>(() => firstChoice(table));
  const [error, setError] = useState<string | null>(null);
  const chart = useRef<SVGSVGElement>(null);
  // a table that was read again may have other columns
  const valid = useMemo(() => (isValid(choice, table) ? choice : firstChoice(table)), [choice, table]);
  const boxes = useMemo(() => distribute(table, valid), [table, valid]);
  const trait = table.traits[valid.trait] as PlantTable["traits"][number];
  const factor = valid.factor === null ? null : (table.factors[valid.factor] as string);
  const second = valid.second === null ? null : (table.factors[valid.second] as string);
  const problem = problemOf(boxes);
  const name = fileName(`${experiment.name} ${trait.column}${factor === null ? "" : ` by ${factor}`}`);
  const png = () => {
    if (chart.current !== null)
      savePng(chart.current, `${name}.png`).catch(() => setError(strings.plots.pngFailed));
  };
  return (
    <>
      <Choices table={table} choice={valid} onChange={setChoice} />
      {problem !== null ? (
        <p role="status" className="notice">
          {problem}
        </p>
      ) : (
        <>
          <BoxplotChart
            ref={chart}
            boxes={boxes}
            trait={trait}
            factor={factor}
            second={second}
            notes={notesOf(experiment, table, boxes, valid)}
          />
          <SummaryTable boxes={boxes} trait={trait} factor={factor} second={second} />
          <div className="row">
            <button
              type="button"
              onClick={() => chart.current !== null && saveSvg(chart.current, `${name}.svg`)}
            >
              {strings.plots.svg}
            </button>
            <button type="button" onClick={png}>
              {strings.plots.png}
            </button>
          </div>
          {error !== null && (
            <p role="alert" className="error-text">
              {error}
            </p>
          )}
        </>
      )}
    </>
  );
}

function Choices({
  table,
  choice,
  onChange,
}: {
  table: PlantTable;
  choice: Choice;
  onChange: (choice: Choice) => void;
}) {
  const id = useId();
  const factors = [
    { value: "", label: strings.plots.noFactor },
    ...table.factors.map((name, index) => ({ value: String(index), label: name })),
  ];
  const fields = [
    {
      key: "trait",
      label: strings.plots.trait,
      value: String(choice.trait),
      options: table.traits.map(({ trait, unit }, index) => ({
        value: String(index),
        label: strings.plots.yAxis(traitLabel(trait), formatUnit(unit)),
      })),
    },
    { key: "factor", label: strings.plots.factor, value: String(choice.factor ?? ""), options: factors },
    {
      key: "second",
      label: strings.plots.second,
      value: String(choice.second ?? ""),
      options: factors.filter(({ value }) => value === "" || value !== String(choice.factor)),
    },
  ];
  const choose = (key: string, text: string) => {
    const value = text === "" ? null : Number(text);
    const changed = { ...choice, [key]: value };
    onChange(
      changed.factor === null || changed.second === changed.factor ? { ...changed, second: null } : changed,
    );
  };
  return (
    <div className="plot-choices">
      {fields.map(({ key, label, value, options }) => (
        <div className="field" key={key}>
          <label htmlFor={`${id}-${key}`}>{label}</label>
          <select
            id={`${id}-${key}`}
            value={value}
            disabled={key === "second" && choice.factor === null}
            onChange={(event) => choose(key, event.target.value)}
          >
            {options.map((option) => (
              <option key={option.value} value={option.value}>
                {option.label}
              </option>
            ))}
          </select>
        </div>
      ))}
      {(["onlyOk", "byPlate"] as const).map((key) => (
        <label className="check" key={key}>
          <input
            type="checkbox"
            checked={choice[key]}
            onChange={(event) => onChange({ ...choice, [key]: event.target.checked })}
          />
          {strings.plots[key]}
        </label>
      ))}
    </div>
  );
}

function firstChoice(table: PlantTable): Choice {
  const trait = table.traits.findIndex((each) => each.trait === FIRST_TRAIT);
  const factor = table.factors.length > 0 ? 0 : null;
  return { trait: Math.max(0, trait), factor, second: null, onlyOk: false, byPlate: false };
}

function isValid({ trait, factor, second }: Choice, table: PlantTable): boolean {
  return (
    trait < table.traits.length && [factor, second].every((at) => at === null || at < table.factors.length)
  );
}

function problemOf(boxes: readonly Box[]): string | null {
  const subgroups = new Set(boxes.map(({ subgroup }) => subgroup)).size;
  if (boxes.length === 0) return strings.plots.noValues;
  if (boxes.length > MAX_BOXES) return strings.plots.tooManyGroups(boxes.length, MAX_BOXES);
  return subgroups > MAX_SUBGROUPS ? strings.plots.tooManySubgroups(subgroups, MAX_SUBGROUPS) : null;
}

function notesOf(experiment: Experiment, table: PlantTable, boxes: readonly Box[], choice: Choice): string[] {
  const sum = (count: (box: Box) => number) => boxes.reduce((total, box) => total + count(box), 0);
  const values = sum(({ observations }) => observations.length);
  const plates = new Set(boxes.flatMap(({ observations }) => observations.map(({ plate }) => plate))).size;
  const models = [...new Set(table.rows.map((row) => row.models))].join(" | ").replaceAll(";", ", ");
  return [
    strings.plots.source(experiment.name, values, plates, choice.byPlate, models),
    strings.plots.rules(values > MAX_POINTS),
    sum(({ doubtful }) => doubtful) > 0 ? strings.plots.hollow : "",
    choice.onlyOk ? strings.plots.leftOut : "",
  ];
}
