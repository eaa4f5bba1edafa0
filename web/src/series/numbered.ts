/** A photograph whose plants have the numbers of the series, so that a plant keeps its number and colour. */
import type { Phenotype, PlateSeries } from "../api/types";
import type { EditedPlant } from "../model/history";
import type { Entry } from "./seriesRequest";

export interface NumberedPhotograph {
  phenotype: Phenotype;
  plants: readonly EditedPlant[];
}

/**
 * Return a photograph with the numbers of the tracks. A plant that is in no track gets a negative number. Photographs of one
 * size share their metadata, so that the viewer keeps its zoom from one to the next.
 */
export function numberByTrack(
  entries: readonly (Entry | undefined)[],
  plate: PlateSeries,
  photograph: number,
): NumberedPhotograph | null {
  const entry = entries[photograph];
  if (entry === undefined) return null;
  const { width, height } = entry.phenotype.image;
  const first = entries.find((each) => {
    const image = each?.phenotype.image;
    return image?.width === width && image.height === height;
  });
  const tracks = new Map<number, number>();
  for (const track of plate.tracks)
    for (const observation of track.observations)
      if (observation.photograph === photograph) tracks.set(observation.plant, track.id);
  const number = <Numbered extends { id: number }>(plant: Numbered): Numbered => ({
    ...plant,
    id: tracks.get(plant.id) ?? -plant.id,
  });
  return {
    phenotype: {
      ...entry.phenotype,
      image: first?.phenotype.image ?? entry.phenotype.image,
      plants: entry.phenotype.plants.map(number),
    },
    plants: entry.plants.map(number),
  };
}
