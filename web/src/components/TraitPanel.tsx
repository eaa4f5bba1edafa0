import type { Flag, Phenotype, Plant, TraitValue } from "../api/types";
import { formatInterval, formatNumber, formatTrait, formatUnit, traitLabel } from "../model/format";
import { strings } from "../strings";
import { plantColour } from "../viewer/colours";

const KEY_TRAITS = [
  { trait: "primary_root_length", label: "Primary" },
  { trait: "total_root_length", label: "Total" },
  { trait: "lateral_root_count", label: "Laterals" },
  { trait: "primary_root_angle", label: "Angle" },
] as const;

interface TraitProps {
  phenotype: Phenotype;
  /** The phenotype as measured, to show the values before a correction. */
  measured: Phenotype;
  selectedPlant: number | null;
}

interface PlantOverviewProps extends TraitProps {
  onSelectPlant: (id: number) => void;
}

interface TraitDetailsProps extends TraitProps {
  onShowFlag: (flag: Flag) => void;
}

/** The scale, and the plants with their most used traits. */
export function PlantOverview(props: PlantOverviewProps) {
  return (
    <>
      <PlantTable {...props} />
      <ScaleLine phenotype={props.phenotype} />
    </>
  );
}

/** All traits and flags of the selected plant, or those of the plate. */
export function TraitDetails({ phenotype, measured, selectedPlant, onShowFlag }: TraitDetailsProps) {
  const plant = phenotype.plants.find((candidate) => candidate.id === selectedPlant);
  const before = measured.plants.find((candidate) => candidate.id === selectedPlant);
  return (
    <>
      {plant !== undefined && (
        <>
          <TraitTable
            title={strings.table.traits(plant.id)}
            traits={plant.traits}
            before={before?.traits ?? []}
          />
          <FlagList flags={plant.flags} onShow={onShowFlag} />
        </>
      )}
      {plant === undefined && (
        <>
          {[
            ...(phenotype.plates.length > 1
              ? phenotype.plates.map((plate) => plate.traits)
              : [phenotype.traits]),
          ].map((traits, index) => (
            <TraitTable
              // biome-ignore lint/suspicious/noArrayIndexKey: plates have no other identity than their order
              key={index}
              title={strings.table.plateTraits}
              traits={traits}
              before={phenotype.plates.length > 1 ? (measured.plates[index]?.traits ?? []) : measured.traits}
            />
          ))}
          <FlagList flags={phenotype.flags} onShow={onShowFlag} />
        </>
      )}
    </>
  );
}

function ScaleLine({ phenotype }: { phenotype: Phenotype }) {
  const { mm_per_px: scale, source } = phenotype.scale;
  return (
    <p className="scale-line">
      <span className="label">{strings.table.scale}</span>{" "}
      {scale === null
        ? strings.table.scaleUnknown
        : `${(1 / scale).toFixed(2)} px/mm, ${strings.table.scaleSource[source]}`}
    </p>
  );
}

function PlantTable({ phenotype, measured, selectedPlant, onSelectPlant }: PlantOverviewProps) {
  if (phenotype.plants.length === 0) return <p>{strings.table.noPlants}</p>;
  const unit = (name: string) => formatUnit(findTrait(phenotype.plants[0], name)?.unit ?? "");
  return (
    <div className="table-scroll">
      <table className="plants">
        <caption>{strings.table.plants}</caption>
        <thead>
          <tr>
            <th scope="col">{strings.table.plant}</th>
            {KEY_TRAITS.map(({ trait, label }) => (
              <th scope="col" key={trait} className="number">
                {label}
                <span className="unit">{unit(trait)}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {phenotype.plants.map((plant) => (
            <tr key={plant.id} aria-selected={plant.id === selectedPlant}>
              <th scope="row">
                <button
                  type="button"
                  className="plant-button"
                  aria-pressed={plant.id === selectedPlant}
                  onClick={() => onSelectPlant(plant.id)}
                >
                  <Swatch colour={plantColour(plant.id)} />
                  {plant.id}
                </button>
              </th>
              {KEY_TRAITS.map(({ trait }) => {
                const value = findTrait(plant, trait);
                const was = findTrait(
                  measured.plants.find((other) => other.id === plant.id),
                  trait,
                );
                return (
                  <td key={trait} className={`number ${isChanged(value, was) ? "changed" : ""}`}>
                    {value === undefined ? strings.table.unknown : formatNumber(value.value, value.unit)}
                    {value !== undefined && <QualityMark quality={value.quality} />}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Swatch({ colour }: { colour: string }) {
  return (
    <svg className="swatch" viewBox="0 0 10 10" aria-hidden="true">
      <circle cx="5" cy="5" r="4.5" fill={colour} />
    </svg>
  );
}

function TraitTable({
  title,
  traits,
  before,
}: {
  title: string;
  traits: readonly TraitValue[];
  before: readonly TraitValue[];
}) {
  return (
    <div className="table-scroll">
      <table className="traits">
        <caption>{title}</caption>
        <thead>
          <tr>
            <th scope="col">{strings.table.trait}</th>
            <th scope="col" className="number">
              {strings.table.value}
            </th>
            <th scope="col" className="number">
              {strings.table.interval}
            </th>
            <th scope="col">{strings.table.quality}</th>
          </tr>
        </thead>
        <tbody>
          {traits.map((trait) => {
            const was = before.find((other) => other.trait === trait.trait);
            return (
              <tr key={trait.trait}>
                <th scope="row">{traitLabel(trait.trait)}</th>
                <td className={`number ${isChanged(trait, was) ? "changed" : ""}`} data-trait={trait.trait}>
                  {formatTrait(trait)}
                  {was !== undefined && isChanged(trait, was) && (
                    <span className="was">{strings.table.was(formatNumber(was.value, was.unit))}</span>
                  )}
                </td>
                <td className="number hint">{formatInterval(trait)}</td>
                <td>
                  <QualityBadge trait={trait} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function QualityBadge({ trait }: { trait: TraitValue }) {
  const reasons = trait.flags.map((flag) => flag.message).join("\n");
  return (
    <span className={`quality ${trait.quality}`} title={reasons}>
      {strings.table.qualities[trait.quality]}
    </span>
  );
}

/** A sign beside a number, so that colour is not the only information. */
function QualityMark({ quality }: { quality: TraitValue["quality"] }) {
  const sign = { ok: "", uncertain: "?", unknown: "" }[quality];
  return (
    <span className="mark" title={strings.table.qualities[quality]}>
      {sign}
      {quality !== "ok" && <span className="visually-hidden">{strings.table.qualities[quality]}</span>}
    </span>
  );
}

export function FlagList({ flags, onShow }: { flags: readonly Flag[]; onShow: (flag: Flag) => void }) {
  return (
    <section className="flags" aria-label={strings.table.flags}>
      <h3>{strings.table.flags}</h3>
      {flags.length === 0 ? (
        <p className="hint">{strings.table.noFlags}</p>
      ) : (
        <ul>
          {flags.map((flag) => (
            <li key={`${flag.code} ${flag.message}`}>
              {flag.at === null ? (
                <span>
                  <code>{flag.code}</code> {flag.message}
                </span>
              ) : (
                <button type="button" className="link" onClick={() => onShow(flag)}>
                  <code>{flag.code}</code> {flag.message}
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function findTrait(plant: Plant | undefined, name: string): TraitValue | undefined {
  return plant?.traits.find((trait) => trait.trait === name);
}

function isChanged(trait: TraitValue | undefined, was: TraitValue | undefined): boolean {
  return trait !== undefined && was !== undefined && trait.value !== was.value;
}
