/** Files of results, computed by the server, so that a file and the screen never differ. */
import type { ApiClient, MediaType } from "./api/client";
import type { Photograph } from "./model/photographs";

const EXTENSIONS: Record<MediaType, string> = {
  "application/json": ".json",
  "application/rsml+xml": ".rsml",
  "application/vnd.plantcv+json": ".plantcv.json",
  "text/csv": ".csv",
};

export async function saveResult(
  client: ApiClient,
  photograph: Photograph,
  mediaType: MediaType,
): Promise<void> {
  if (photograph.measured === null || photograph.history === null) return;
  const blob = await client.download(photograph.measured, photograph.history.present, mediaType);
  save(blob, photograph.name.replace(/\.[^.]*$/, "") + EXTENSIONS[mediaType]);
}

/** Save one table with a row for each plant and trait of all photographs. */
export async function saveAllAsCsv(client: ApiClient, photographs: readonly Photograph[]): Promise<void> {
  const parts: string[] = [];
  for (const { measured, history } of photographs) {
    if (measured === null || history === null) continue;
    const text = await (await client.download(measured, history.present, "text/csv", "long")).text();
    // the long table has the same columns for each photograph
    parts.push(parts.length === 0 ? text : text.slice(text.indexOf("\n") + 1));
  }
  save(new Blob(parts, { type: "text/csv" }), "traits.csv");
}

export function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
