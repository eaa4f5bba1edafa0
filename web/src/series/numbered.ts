/** A photograph whose plants have the numbers of the series, so that a plant keeps its number and colour. */
import type { Phenotype, PlateSeries } from "../api/types";
import type { EditedPlant } from "../model/history";
import type { Entry } from "./seriesRequest";

export interface NumberedPhotograph {
  phenotype: Phenotype;
  plants: readonly EditedPlant[];
}

/** Return the photograph with the numbers of the tracks. A plant that is in no track gets a negative number. */
export function numberByTrack(entry: Entry, plate: PlateSeries, photograph: number): NumberedPhotograph {
  const tracks = new Map<number, number>();
  for (const track of plate.tracks)
    for (const observation of track.observations)
      if (observation.photograph === photograph) tracks.set(observation.plant, track.id);
  const number = <Numbered extends { id: number }>(plant: Numbered): Numbered => ({
    ...plant,
    id: tracks.get(plant.id) ?? -plant.id,
  });
  return {
    phenotype: { ...entry.phenotype, plants: entry.phenotype.plants.map(number) },
    plants: entry.plants.map(number),
  };
}
