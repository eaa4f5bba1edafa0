import { describe, expect, it } from "vitest";
import { parseDesign } from "../src/model/design";

describe("parseDesign", () => {
  it("reads what Excel copies: tabs, Windows line ends, quoted cells", () => {
    const text = 'plate\tgenotype\ttreatment\r\np1\tcol-0\t"NaCl\t50 ""mM"""\r\np2\tler\t"two\r\nlines"\r\n';
    expect(parseDesign(text)).toEqual({
      columns: ["plate", "genotype", "treatment"],
      rows: [
        ["p1", "col-0", 'NaCl\t50 "mM"'],
        ["p2", "ler", "two\r\nlines"],
      ],
      errors: [],
    });
  });

  it.each([
    ["semicolons", "plate;genotype\np1;a,b\n"],
    ["a byte order mark and old line ends", "\uFEFFplate;genotype\rp1;a,b\r\r"],
    ["commas", 'plate,genotype\np1,"a,b"'],
  ])("reads %s", (_, text) => {
    expect(parseDesign(text)).toEqual({
      columns: ["plate", "genotype"],
      rows: [["p1", "a,b"]],
      errors: [],
    });
  });

  it("keeps empty cells at the end of a row", () => {
    expect(parseDesign("plate\tgenotype\tnote\np1\tcol-0\t\n").rows).toEqual([["p1", "col-0", ""]]);
  });

  it.each([
    ["Row 2 has 1 cells, but the header has 2 columns", "plate,a\np1,x\np2\n"],
    ["Row 1, column plant: 0 is not", "plate,plant\np1,0\n"],
    ["Row 2, column plate: the cell is empty", "plate,a\np1,x\n,y\n"],
    ["The rows 1 and 3 are for the same", "plate,a\np1,x\np2,x\np1,y\n"],
    ["neither a column plate nor a column image", "Plate name,a\np1,x\n"],
    ["has the column a twice", "plate,a,a\np1,x,y\n"],
    ["Column 2 has no name", "plate,,b\np1,x,y\n"],
    ["Line 2: a quoted cell does not end", 'plate,a\np1,"x\n'],
    ["has a header only", "plate,a\n"],
    ["Row 1, column a: the cell has more than 1000", `plate,a\np1,${"x".repeat(1001)}\n`],
  ])("says: %s", (message, text) => {
    expect(parseDesign(text).errors.join("\n")).toContain(message);
  });

  it("says nothing about an empty field, and limits its errors", () => {
    expect(parseDesign(" \n").errors).toEqual([]);
    expect(parseDesign(`plate,a\n${"p\n".repeat(5000)}`).errors).toHaveLength(20);
  });
});
