import { formatNumber, formatUnit } from "../model/format";
import { strings } from "../strings";
import { groupName } from "./BoxplotChart";
import type { Box } from "./distribution";
import type { TraitColumn } from "./plantTable";

/** The numbers of the boxes as a table, for screen readers and for reading them. */
export function SummaryTable({
  boxes,
  trait,
  factor,
  second,
}: {
  boxes: readonly Box[];
  trait: TraitColumn;
  factor: string | null;
  second: string | null;
}) {
  const unit = formatUnit(trait.unit);
  return (
    <details className="options">
      <summary>{strings.plots.summary}</summary>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs the keyboard */}
      <section className="table-scroll" tabIndex={0} aria-label={strings.plots.summary}>
        <table>
          <thead>
            <tr>
              <th scope="col">{factor ?? strings.plots.group}</th>
              {second !== null && <th scope="col">{second}</th>}
              {strings.plots.columns.map((name) => (
                <th scope="col" className="number" key={name}>
                  {name}
                </th>
              ))}
              {strings.plots.summaryColumns.map((name) => (
                <th scope="col" className="number" key={name}>
                  {name}
                  {unit !== "" && <span className="unit">{unit}</span>}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {boxes.map(({ group, subgroup, observations, plates, doubtful, summary }) => (
              <tr key={JSON.stringify([group, subgroup])}>
                <th scope="row">{groupName(group, factor)}</th>
                {second !== null && <td>{groupName(subgroup ?? "", second)}</td>}
                <td className="number">{observations.length}</td>
                <td className="number">{plates}</td>
                <td className="number">{doubtful}</td>
                {[summary.low, summary.q1, summary.median, summary.q3, summary.high].map((value, index) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: the columns are fixed
                  <td className="number" key={index}>
                    {formatNumber(value, trait.unit)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </details>
  );
}
