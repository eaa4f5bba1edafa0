/** Design tables that a user pastes from a spreadsheet: tabs, semicolons or commas, with quoted cells. */
import { strings } from "../strings";

export interface PastedTable {
  columns: string[];
  rows: string[][];
}

export interface ParsedTable extends PastedTable {
  /** What is wrong, with row and column. Rows count from 1 below the header, as in the preview. */
  errors: string[];
}

const KEYS = ["image", "plate"];
const MAX_ROWS = 100_000;
const MAX_COLUMNS = 64;
const MAX_NAME_LENGTH = 100;
const MAX_CELL_LENGTH = 1000;
const MAX_ERRORS = 20;

/** Parse and check a table. The server checks it again. */
export function parseDesign(text: string): ParsedTable {
  const source = text.replace(/^\uFEFF/, "");
  if (source.trim() === "") return { columns: [], rows: [], errors: [] };
  const { lines, unclosed } = splitCells(source, delimiterOf(source));
  const [header = [], ...rows] = lines
    .map((line) => line.map((cell) => cell.trim()))
    .filter((line) => line.some((cell) => cell !== ""));
  const errors = [
    ...(unclosed === null ? [] : [strings.design.unclosed(unclosed)]),
    ...headerErrors(header),
    ...rowErrors(header, rows),
  ];
  return { columns: header, rows, errors: errors.slice(0, MAX_ERRORS) };
}

function delimiterOf(text: string): string {
  const header = text.trimStart().split(/[\r\n]/, 1)[0] ?? "";
  const count = (delimiter: string) => header.split(delimiter).length;
  return ["\t", ";", ","].reduce((best, next) => (count(next) > count(best) ? next : best));
}

/** Split a text into lines of cells. A quoted cell may contain the delimiter, line ends and doubled quotes. */
export function splitCells(text: string, delimiter: string): { lines: string[][]; unclosed: number | null } {
  const lines: string[][] = [];
  let line: string[] = [];
  let at = 0;
  let unclosed: number | null = null;
  while (at <= text.length) {
    let cell = "";
    if (text[at] === '"') {
      const end = closingQuote(text, at + 1);
      if (end === -1) unclosed = lines.length + 1;
      cell = text.slice(at + 1, end === -1 ? undefined : end).replaceAll('""', '"');
      at = end === -1 ? text.length : end + 1;
    }
    const start = at;
    while (at < text.length && text[at] !== delimiter && text[at] !== "\r" && text[at] !== "\n") at += 1;
    line.push(cell + text.slice(start, at));
    if (text[at] !== delimiter) {
      lines.push(line);
      line = [];
      if (text[at] === "\r" && text[at + 1] === "\n") at += 1;
    }
    at += 1;
  }
  return { lines, unclosed };
}

function closingQuote(text: string, start: number): number {
  let at = text.indexOf('"', start);
  while (at !== -1 && text[at + 1] === '"') at = text.indexOf('"', at + 2);
  return at;
}

function headerErrors(header: readonly string[]): string[] {
  const errors: string[] = [];
  if (!header.some((name) => KEYS.includes(name))) errors.push(strings.design.noKey);
  if (header.length > MAX_COLUMNS) errors.push(strings.design.tooManyColumns(header.length, MAX_COLUMNS));
  header.forEach((name, index) => {
    if (name === "") errors.push(strings.design.noName(index + 1));
    else if (name.length > MAX_NAME_LENGTH)
      errors.push(strings.design.longName(name.slice(0, 20), MAX_NAME_LENGTH));
    else if (header.indexOf(name) < index) errors.push(strings.design.duplicateColumn(name));
  });
  return errors;
}

function rowErrors(header: readonly string[], rows: readonly string[][]): string[] {
  if (rows.length === 0) return [strings.design.noRows];
  if (rows.length > MAX_ROWS) return [strings.design.tooManyRows(rows.length, MAX_ROWS)];
  const errors: string[] = [];
  const seen = new Map<string, number>();
  const [image, plate, plant] = ["image", "plate", "plant"].map((name) => header.indexOf(name)) as [
    number,
    number,
    number,
  ];
  for (const [index, row] of rows.entries()) {
    if (errors.length >= MAX_ERRORS) break;
    const number = index + 1;
    if (row.length !== header.length) {
      errors.push(strings.design.wrongLength(number, row.length, header.length));
      continue;
    }
    const long = row.findIndex((cell) => cell.length > MAX_CELL_LENGTH);
    if (long !== -1) errors.push(strings.design.longCell(number, header[long] ?? "", MAX_CELL_LENGTH));
    const key = [image, plate, plant].map((at) => row[at] ?? "");
    if (key[0] === "" && key[1] === "") errors.push(strings.design.noSubject(number));
    if (key[2] !== "" && !/^[1-9]\d{0,3}$/.test(key[2] ?? ""))
      errors.push(strings.design.badPlant(number, (key[2] ?? "").slice(0, 20)));
    const first = seen.get(JSON.stringify(key));
    if (first !== undefined) errors.push(strings.design.duplicateRow(first, number));
    else seen.set(JSON.stringify(key), number);
  }
  return errors;
}
