/** Requests of experiments. */
import { type ApiClient, type MeasureOptions, measureQuery } from "../api/client";
import type { AddedImage, DesignTable, Experiment, ExperimentImagePage, ExperimentPage } from "../api/types";
import type { PastedTable } from "../model/design";

export type TableType = "text/csv" | "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

const path = (id: string) => `v1/experiments/${encodeURIComponent(id)}`;
const page = (cursor: string | null) =>
  `?limit=100${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`;

export function listExperiments(
  client: ApiClient,
  cursor: string | null,
  signal: AbortSignal,
): Promise<ExperimentPage> {
  return client.json(`v1/experiments${page(cursor)}`, { signal });
}

export function createExperiment(client: ApiClient, name: string, description: string): Promise<Experiment> {
  return client.json("v1/experiments", { method: "POST", body: JSON.stringify({ name, description }) });
}

export function getExperiment(client: ApiClient, id: string, signal: AbortSignal): Promise<Experiment> {
  return client.json(path(id), { signal });
}

export function listImages(
  client: ApiClient,
  id: string,
  cursor: string | null,
  signal: AbortSignal,
): Promise<ExperimentImagePage> {
  return client.json(`${path(id)}/images${page(cursor)}`, { signal });
}

export function addImage(
  client: ApiClient,
  id: string,
  file: File,
  options: MeasureOptions,
  onUpload: (share: number) => void,
  signal: AbortSignal,
): Promise<AddedImage> {
  return client.upload(`${path(id)}/images?${measureQuery(file.name, options)}`, file, onUpload, signal);
}

export function getDesign(client: ApiClient, id: string, signal: AbortSignal): Promise<DesignTable> {
  return client.json(`${path(id)}/design`, { signal });
}

/** Replace the design table. It is sent as CSV, which keeps the order of columns with numbers as names. */
export function putDesign(client: ApiClient, id: string, table: PastedTable): Promise<DesignTable> {
  const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const body = [table.columns, ...table.rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
  return client.json(`${path(id)}/design`, { method: "PUT", body, headers: { "Content-Type": "text/csv" } });
}

export function downloadTable(client: ApiClient, id: string, type: TableType): Promise<Blob> {
  return client.blob(`${path(id)}/table`, type);
}
