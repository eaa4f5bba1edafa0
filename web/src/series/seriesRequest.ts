/** The request of a series, and the photographs behind its result. */
import type { Phenotype, PlateSeries, SeriesItem, SeriesRequest } from "../api/types";
import type { EditedPlant } from "../model/history";
import { currentPhenotype, type Photograph } from "../model/photographs";
import { type Choices, choiceOf } from "./choices";

/** A measured photograph as it is sent, and as it is shown with the result. */
export interface Entry {
  id: number;
  name: string;
  file: File;
  phenotype: Phenotype;
  plants: readonly EditedPlant[];
  /** Time that the user has entered; "" if there is none. */
  time: string;
}

/** Name of the plate if all photographs show the same one. */
const ONE_PLATE = "plate";

/** Return the photographs that are measured and chosen. */
export function chosenEntries(photographs: readonly Photograph[], choices: Choices): Entry[] {
  const entries: Entry[] = [];
  for (const photograph of photographs) {
    const phenotype = currentPhenotype(photograph);
    const { isIncluded, time } = choiceOf(choices, photograph.id);
    if (!isIncluded || phenotype === null || photograph.history === null) continue;
    const { id, name, file, history } = photograph;
    entries.push({ id, name, file, phenotype, plants: history.present, time: time ?? "" });
  }
  return entries;
}

export function isSameEntry(first: Entry | undefined, second: Entry | undefined): boolean {
  return (
    first !== undefined &&
    second !== undefined &&
    first.id === second.id &&
    first.phenotype === second.phenotype &&
    first.time === second.time
  );
}

/** Return the body of a request. `exifTimes` are in the order of the entries. */
export function toRequest(
  entries: readonly Entry[],
  exifTimes: readonly (string | null)[],
  choices: Pick<Choices, "timeZone" | "timeOfDay" | "isOnePlate">,
): SeriesRequest {
  const photographs = entries.map(
    ({ name, phenotype, time }, index): SeriesItem => ({
      phenotype: withoutDetails(phenotype),
      name,
      time: time === "" ? null : time,
      exif_time: exifTimes[index] ?? null,
      plate: choices.isOnePlate ? ONE_PLATE : null,
    }),
  );
  const [zone, timeOfDay] = [choices.timeZone.trim(), choices.timeOfDay];
  return {
    photographs,
    time_zone: zone === "" ? null : zone,
    time_of_day: timeOfDay === "" ? null : timeOfDay,
  };
}

/** Leave out what a series does not use. A plant without a root is placed by the outline of its seed or shoot. */
function withoutDetails(phenotype: Phenotype): Phenotype {
  return {
    ...phenotype,
    plants: phenotype.plants.map((plant) => {
      const roots = plant.roots.filter((root) => root.order === 1);
      const organs =
        roots.length === 0 ? plant.organs : plant.organs.map((organ) => ({ ...organ, polygons: [] }));
      return { ...plant, roots, organs };
    }),
  };
}

/** Return the entry of each photograph of a plate, in the order of time. A result has no phenotypes. */
export function entriesOf(plate: PlateSeries, entries: readonly Entry[]): (Entry | undefined)[] {
  return plate.photographs.map(({ sha256, image }) => {
    const same = entries.filter((entry) => entry.phenotype.image.sha256 === sha256);
    return same.find((entry) => entry.name === image) ?? same[0];
  });
}
