/** Photographs of the store, opened for a correction. */
import { type ApiClient, ApiError } from "../api/client";
import type { Correction, CorrectionList, ExperimentImage, Measurement, Schemas } from "../api/types";
import { strings } from "../strings";

type ImagePage = Schemas["BrapiListResponse_BrapiImage_"];

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
  const [measurement, corrections, found] = await Promise.all([
    client.json<Measurement>(`v1/measurements/${id}`),
    listCorrections(client, image.measurement_id ?? ""),
    client.json<ImagePage>(`brapi/v2/images?pageSize=1000&imageName=${encodeURIComponent(image.name)}`),
  ]);
  const stored = found.result.data.find(
    ({ additionalInfo: info }) => info["sha256"] === image.sha256 && info["studyDbId"] === experiment,
  );
  if (stored === undefined) throw new ApiError(strings.stored.missing(image.name), 404);
  const content = await client.blob(
    `brapi/v2/images/${encodeURIComponent(stored.imageDbId)}/imagecontent`,
    "application/octet-stream",
  );
  const file = new File([content], image.name, { type: stored.mimeType });
  return { file, measurement, corrections };
}

export async function listCorrections(client: ApiClient, measurement: string): Promise<Correction[]> {
  const path = `v1/measurements/${encodeURIComponent(measurement)}/corrections`;
  return (await client.json<CorrectionList>(path)).items;
}
