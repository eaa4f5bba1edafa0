import type { ExperimentImage } from "../api/types";
import { strings } from "../strings";

/** Photographs of an experiment with their state. */
export function ImageTable({
  images,
  onOpen,
  onMore,
}: {
  images: readonly ExperimentImage[];
  onOpen: (image: ExperimentImage) => void;
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
          {images.map((image) => {
            const { sha256, name, plate, added_at, measurement_id } = image;
            return (
              <tr key={sha256}>
                <th scope="row">
                  {measurement_id === null ? (
                    name
                  ) : (
                    <button type="button" className="link" onClick={() => onOpen(image)}>
                      {name}
                    </button>
                  )}
                </th>
                <td>{plate}</td>
                <td>{added_at.slice(0, 16).replace("T", " ")}</td>
                <td>
                  {measurement_id === null ? strings.experiments.notMeasured : strings.experiments.measured}
                </td>
                <td>{measurement_id !== null && <code>{measurement_id}</code>}</td>
              </tr>
            );
          })}
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
