/**
 * Time of a photograph in the EXIF block of its file. The server decides whether it is used: it also reads the file name.
 *
 * A hostile file can have any offset, so each read is checked against the block.
 */

/** EXIF is at the start of JPEG and PNG, and before the pixels in the HEIC files of phones. */
const MAX_SEARCHED_BYTES = 1 << 20;
const MAX_ENTRIES = 500;
const EXIF_DIRECTORY = 0x8769;
const DATE_TIME_ORIGINAL = 0x9003;
const OFFSET_TIME_ORIGINAL = 0x9011;
const ASCII = 2;
const [FIRST_YEAR, LAST_YEAR] = [1990, 2100];

const timesByFile = new WeakMap<File, Promise<string | null>>();

/** Return DateTimeOriginal of a file in ISO 8601, with its offset if the camera wrote one; null without one. */
export function exifTime(file: File): Promise<string | null> {
  let time = timesByFile.get(file);
  if (time === undefined) {
    time = file
      .slice(0, MAX_SEARCHED_BYTES)
      .arrayBuffer()
      .then(
        (bytes) => parseExifTime(new Uint8Array(bytes)),
        () => null, // the file was removed from the disk: its name may have the time
      );
    timesByFile.set(file, time);
  }
  return time;
}

export function parseExifTime(bytes: Uint8Array): string | null {
  const start = findTiff(bytes);
  if (start === null) return null;
  try {
    return readTime(new DataView(bytes.buffer, bytes.byteOffset + start, bytes.byteLength - start));
  } catch (error) {
    if (error instanceof RangeError) return null; // an offset outside of the block
    throw error;
  }
}

/** Return the start of the TIFF header with the EXIF tags. */
function findTiff(bytes: Uint8Array): number | null {
  if (isTiff(bytes, 0)) return 0;
  for (let at = 0; at + 14 < bytes.length; at += 1) {
    // JPEG and HEIC have "Exif\0\0", PNG has the chunk "eXIf"
    if (bytes[at + 2] !== 0x69 && bytes[at + 2] !== 0x49) continue;
    const text = String.fromCharCode(...bytes.subarray(at, at + 6));
    if (text === "Exif\0\0" && isTiff(bytes, at + 6)) return at + 6;
    if (text.startsWith("eXIf") && isTiff(bytes, at + 4)) return at + 4;
  }
  return null;
}

function isTiff(bytes: Uint8Array, at: number): boolean {
  const text = String.fromCharCode(...bytes.subarray(at, at + 4));
  return text === "II*\0" || text === "MM\0*";
}

function readTime(view: DataView): string | null {
  const isLittle = view.getUint8(0) === 0x49;
  const directory = findTag(view, view.getUint32(4, isLittle), EXIF_DIRECTORY, isLittle);
  if (directory === null) return null;
  const start = view.getUint32(directory + 8, isLittle);
  const time = readText(view, findTag(view, start, DATE_TIME_ORIGINAL, isLittle), isLittle);
  const match = /^(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)$/.exec(time);
  const year = Number(match?.[1]);
  if (match === null || !(year >= FIRST_YEAR && year <= LAST_YEAR)) return null;
  const text = `${match[1]}-${match[2]}-${match[3]}T${match[4]}`;
  if (Number.isNaN(Date.parse(`${text}Z`))) return null; // an empty clock writes month 00
  const offset = readText(view, findTag(view, start, OFFSET_TIME_ORIGINAL, isLittle), isLittle);
  return /^[+-](0\d|1[0-4]):[0-5]\d$/.test(offset) ? text + offset : text;
}

/** Return the place of a directory's entry; null if the directory does not have the tag. */
function findTag(view: DataView, directory: number, tag: number, isLittle: boolean): number | null {
  const count = Math.min(view.getUint16(directory, isLittle), MAX_ENTRIES);
  for (let index = 0; index < count; index += 1) {
    const entry = directory + 2 + 12 * index;
    if (view.getUint16(entry, isLittle) === tag) return entry;
  }
  return null;
}

function readText(view: DataView, entry: number | null, isLittle: boolean): string {
  if (entry === null || view.getUint16(entry + 2, isLittle) !== ASCII) return "";
  const length = Math.min(view.getUint32(entry + 4, isLittle), 40);
  const start = length <= 4 ? entry + 8 : view.getUint32(entry + 8, isLittle);
  let text = "";
  for (let index = 0; index < length; index += 1) text += String.fromCharCode(view.getUint8(start + index));
  return text.replace(/[\0 ]+$/, "").trim();
}
