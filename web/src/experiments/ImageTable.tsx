import type { ExperimentImage } from "../api/types";
import { strings } from "../strings";

/** Photographs of an experiment with their state. */
export function ImageTable({
  images,
  onMore,
}: {
  images: readonly ExperimentImage[];
  /** Null if all photographs are listed. */
  onMore: (() => void) | null;
}) {
  if (images.length === 0) return <p>{strings.experiments.noImages}</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs the keyboard
    <section className="table-scroll images" tabIndex={0} aria-label={strings.experiments.images}>
      <table>
        <caption>{strings.experiments.images}</caption>
        <thead>
          <tr>
            {[strings.experiments.image, strings.experiments.plate, strings.experiments.addedAt].map(
              (name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ),
            )}
            <th scope="col">{strings.experiments.state}</th>
            <th scope="col">{strings.experiments.measurement}</th>
          </tr>
        </thead>
        <tbody>
          {images.map(({ sha256, name, plate, added_at, measurement_id }) => (
            <tr key={sha256}>
              <th scope="row">{name}</th>
              <td>{plate}</td>
              <td>{added_at.slice(0, 16).replace("T", " ")}</td>
              <td>
                {measurement_id === null ? strings.experiments.notMeasured : strings.experiments.measured}
              </td>
              <td>{measurement_id !== null && <code>{measurement_id}</code>}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {onMore !== null && (
        <button type="button" onClick={onMore}>
          {strings.experiments.showMore}
        </button>
      )}
    </section>
  );
}
