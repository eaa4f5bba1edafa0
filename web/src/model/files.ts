/** Files that the user dropped or selected: folders are read recursively, and other files than images are left out. */

const IMAGE = /\.(jpe?g|png|tiff?|hei[cf])$/i;

export interface Selection {
  images: File[];
  /** Number of files that are no JPEG, PNG, TIFF or HEIC. */
  ignored: number;
}

export function selectImages(files: Iterable<File>): Selection {
  const images: File[] = [];
  let ignored = 0;
  for (const file of files) {
    if (IMAGE.test(file.name)) images.push(file);
    else ignored += 1;
  }
  images.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
  return { images, ignored };
}

/** Return the files of a drop. Must be called in the event handler, because the items are invalid afterwards. */
export async function readDrop(transfer: DataTransfer): Promise<Selection> {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.() ?? null);
  if (entries.every((entry) => entry === null)) return selectImages(transfer.files);
  const found = await Promise.all(entries.map((entry) => (entry === null ? [] : readEntry(entry))));
  return selectImages(found.flat());
}

async function readEntry(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    return [
      await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)),
    ];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: File[] = [];
  for (;;) {
    // readEntries returns at most 100 entries, and none at the end
    const batch = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (batch.length === 0) return files;
    for (const child of batch) files.push(...(await readEntry(child)));
  }
}
