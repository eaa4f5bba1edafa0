import { describe, expect, it } from "vitest";
import { fileName } from "../src/charts/saveSvg";
import { axisOf, PLOT, placesOf } from "../src/plots/boxScale";
import { type Choice, distribute, summarise } from "../src/plots/distribution";
import { parsePlantTable } from "../src/plots/plantTable";
import { samplePlantTable } from "./samplePlantTable";

const CHOICE: Choice = { trait: 0, factor: 0, second: null, onlyOk: false, byPlate: false };

describe("the table of plants", () => {
  it("reads factors by their place, and traits with their units", () => {
    const table = parsePlantTable(
      samplePlantTable([["p1.png", "p1", 1, ["col-0", 'NaCl, "50" mM'], [31.5, "ok"], [412.5, "ok"]]]),
    );
    expect(table.factors).toEqual(["genotype", "plant"]);
    expect(table.traits.map(({ trait, unit }) => [trait, unit])).toEqual([
      ["primary_root_length", "mm"],
      ["primary_root_length", "px"],
      ["lateral_root_count", ""],
      ["lateral_density", "1/mm"],
    ]);
    expect(table.rows).toHaveLength(1);
    expect(table.rows[0]?.factors).toEqual(["col-0", 'NaCl, "50" mM']);
    expect(table.rows[0]?.values.slice(0, 2)).toEqual([31.5, 412.5]);
  });

  it("leaves out rows without a plant, and knows no value of an empty cell", () => {
    const table = parsePlantTable(
      samplePlantTable([
        ["empty.png", "p0", null, ["ler", ""], null, null],
        ["p1.png", "p1", 1, ["ler", ""], null, [0, "uncertain"]],
      ]),
    );
    expect(table.rows.map(({ image }) => image)).toEqual(["p1.png"]);
    expect(table.rows[0]?.values[0]).toBeNaN();
    expect([table.rows[0]?.values[1], table.rows[0]?.isOk[1]]).toEqual([0, false]);
  });

  it("has no rows if nothing is measured, or if the text is no table", () => {
    for (const text of ["", "image,plant\np1.png,1\n", samplePlantTable([])])
      expect(parsePlantTable(text).rows).toEqual([]);
  });
});

describe("boxes", () => {
  const table = parsePlantTable(
    samplePlantTable([
      ["a.png", "a", 1, ["line 10", "salt"], [10, "ok"], null],
      ["a.png", "a", 2, ["line 10", "salt"], [20, "uncertain"], null],
      ["b.png", "b", 1, ["line 10", "none"], [40, "ok"], null],
      ["c.png", "c", 1, ["line 9", "none"], [7, "ok"], null],
      ["d.png", "d", 1, ["", "none"], [3, "ok"], null],
      ["e.png", "e", 1, ["line 9", "none"], null, null],
    ]),
  );

  it("has a group for each level with a value, in natural order", () => {
    const boxes = distribute(table, CHOICE);
    expect(boxes.map(({ group, observations, plates }) => [group, observations.length, plates])).toEqual([
      ["", 1, 1],
      ["line 9", 1, 1],
      ["line 10", 3, 2],
    ]);
    expect(boxes[2]?.doubtful).toBe(1);
    expect(boxes[2]?.summary).toEqual({ low: 10, q1: 15, median: 20, q3: 30, high: 40 });
  });

  it("divides groups by a second factor", () => {
    const boxes = distribute(table, { ...CHOICE, second: 1 });
    expect(boxes.map(({ group, subgroup }) => `${group}/${subgroup}`)).toEqual([
      "/none",
      "line 9/none",
      "line 10/none",
      "line 10/salt",
    ]);
  });

  it("leaves out doubtful values, and groups without values", () => {
    const boxes = distribute(table, { ...CHOICE, factor: 1, onlyOk: true });
    expect(boxes.map(({ group, observations }) => [group, observations.map(({ value }) => value)])).toEqual([
      ["none", [40, 7, 3]],
      ["salt", [10]],
    ]);
    expect(distribute(table, { ...CHOICE, trait: 1 })).toEqual([]);
  });

  it("has the median of each plate, which is doubtful if one of its plants is", () => {
    const [box] = distribute(table, { ...CHOICE, factor: null, byPlate: true });
    expect(box?.observations.map(({ plate, value, isOk }) => [plate, value, isOk])).toEqual([
      ["a", 15, false],
      ["b", 40, true],
      ["c", 7, true],
      ["d", 3, true],
    ]);
  });

  it("has quartiles of type 7 and whiskers within 1.5 interquartile ranges", () => {
    // R: boxplot(c(1, 2, 3, 4, 100), range = 1.5) and quantile(type = 7)
    expect(summarise([100, 3, 1, 4, 2])).toEqual({ low: 1, q1: 2, median: 3, q3: 4, high: 4 });
    expect(summarise([5])).toEqual({ low: 5, q1: 5, median: 5, q3: 5, high: 5 });
    expect(summarise([0, 10, 10, 10])).toEqual({ low: 7.5, q1: 7.5, median: 10, q3: 10, high: 10 });
    expect(summarise([-3, -1])).toEqual({ low: -3, q1: -2.5, median: -2, q3: -1.5, high: -1 });
  });
});

describe("the axis", () => {
  it.each([
    [[31, 78], 0, 80],
    [[61, 78], 60, 78],
    [[-40, 25], -40, 40],
    [[12], 0, 20],
    [[0, 0], -0.6, 0.6],
    [[0.011, 0.034], 0, 0.035],
  ])("contains %j", (values, low, high) => {
    const { ticks, y } = axisOf(values);
    expect(ticks[0]).toBeLessThanOrEqual(low);
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(high === 78 ? 78 : Math.max(...values));
    expect(ticks.length).toBeLessThanOrEqual(9);
    for (const value of values) {
      expect(y(value)).toBeGreaterThanOrEqual(PLOT.top - 1e-9);
      expect(y(value)).toBeLessThanOrEqual(PLOT.top + PLOT.height + 1e-9);
    }
  });

  it("places boxes beside each other without overlap", () => {
    const table = parsePlantTable(
      samplePlantTable(
        Array.from({ length: 30 }, (_, index) => [
          `${index}.png`,
          `${index}`,
          1,
          [`g${index % 10}`, index % 3 === 0 ? "salt" : "none"],
          [index, "ok"],
          null,
        ]),
      ),
    );
    const { places, labels } = placesOf(distribute(table, { ...CHOICE, second: 1 }));
    expect(labels).toHaveLength(10);
    for (const [index, { centre, width }] of places.entries()) {
      const next = places[index + 1];
      if (next !== undefined) expect(centre + width / 2).toBeLessThan(next.centre - next.width / 2);
    }
    expect((places[0]?.centre ?? 0) - (places[0]?.width ?? 0) / 2).toBeGreaterThan(PLOT.left);
    expect((places.at(-1)?.centre ?? 0) + (places.at(-1)?.width ?? 0) / 2).toBeLessThan(PLOT.right);
  });
});

it("names a file after the figure, without signs of a path", () => {
  expect(fileName("../Salz: größer/2 length_mm")).toBe("Salz_größer_2_length_mm");
  expect(fileName("???")).toBe("chart");
});
