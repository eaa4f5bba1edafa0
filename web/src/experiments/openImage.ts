/** Photographs of the store, opened for a correction. */
import { type ApiClient, ApiError } from "../api/client";
import type { Correction, CorrectionList, ExperimentImage, Measurement } from "../api/types";
import { strings } from "../strings";

export interface OpenedImage {
  file: File;
  measurement: Measurement;
  /** Corrections of the measurement, the oldest first. */
  corrections: readonly Correction[];
}

/** Read a measured photograph, its measurement and its corrections. */
export async function openImage(
  client: ApiClient,
  experiment: string,
  image: ExperimentImage,
): Promise<OpenedImage> {
  const id = encodeURIComponent(image.measurement_id ?? "");
  const path = `v1/experiments/${encodeURIComponent(experiment)}/images/${image.sha256}`;
  const [measurement, corrections, content] = await Promise.all([
    client.json<Measurement>(`v1/measurements/${id}`),
    listCorrections(client, image.measurement_id ?? ""),
    client.blob(path, "image/*, application/octet-stream;q=0.5").catch((reason: unknown) => {
      throw reason instanceof ApiError && reason.status === 404
        ? new ApiError(strings.stored.missing(image.name), 404)
        : reason;
    }),
  ]);
  const file = new File([content], image.name, { type: content.type });
  return { file, measurement, corrections };
}

export async function listCorrections(client: ApiClient, measurement: string): Promise<Correction[]> {
  const path = `v1/measurements/${encodeURIComponent(measurement)}/corrections`;
  return (await client.json<CorrectionList>(path)).items;
}
