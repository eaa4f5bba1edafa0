const WIDTH_PX = 160;

/** Return the object URL of a small picture of a photograph; null if the browser cannot decode its format. */
export async function drawThumbnail(file: File): Promise<string | null> {
  if (!("createImageBitmap" in globalThis)) return null;
  try {
    const bitmap = await createImageBitmap(file, { resizeWidth: WIDTH_PX, resizeQuality: "medium" });
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
    bitmap.close();
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.8));
    return blob === null ? null : URL.createObjectURL(blob);
  } catch {
    return null;
  }
}
