import { describe, expect, it } from "vitest";
import * as corrections from "../src/model/corrections";
import { commit, isCorrected, redo, startHistory, undo } from "../src/model/history";
import { phenotype, root, seedling } from "./support";

const start = () => startHistory(phenotype([seedling(1, 100), seedling(2, 200)]));
const ids = (plants: ReturnType<typeof start>["present"]) =>
  plants.map((plant) => plant.roots.map((each) => each.id));

describe("splitRoot", () => {
  it("gives the part towards the tip to a new lateral, with the laterals beyond the cut", () => {
    const measured = phenotype([
      {
        ...seedling(1),
        roots: [
          ...seedling(1).roots,
          root("1.2", "1", [
            [100, 240],
            [120, 260],
          ]),
        ],
      },
    ]);
    const split = corrections.splitRoot(startHistory(measured).present, "1", 1);
    expect(split?.newId).toBe("1.3");
    const roots = split?.plants[0]?.roots ?? [];
    expect(roots.map((each) => [each.id, each.parent])).toEqual([
      ["1", null],
      ["1.1", "1"],
      ["1.2", "1.3"],
      ["1.3", "1"],
    ]);
    expect(roots[0]?.points.at(-1)).toEqual(roots[3]?.points[0]);
  });

  it("refuses an end of the root", () => {
    expect(corrections.splitRoot(start().present, "1", 0)).toBeNull();
    expect(corrections.splitRoot(start().present, "1", 2)).toBeNull();
  });
});

describe("parents and plants", () => {
  it("keeps the laterals of a deleted root", () => {
    const plants = corrections.deleteRoot(start().present, "1");
    expect(plants[0]?.roots.map((each) => [each.id, each.parent])).toEqual([["1.1", null]]);
  });

  it("refuses a cycle of parents", () => {
    const plants = start().present;
    expect(corrections.setParent(plants, "1", "1.1")).toBe(plants);
    expect(corrections.setParent(plants, "1", "1")).toBe(plants);
    expect(corrections.setParent(plants, "1.1", "2")).toBe(plants);
  });

  it("moves a root with its laterals to another plant", () => {
    const plants = corrections.moveToPlant(start().present, "1", 2);
    expect(ids(plants)).toEqual([[], ["2", "2.1", "1", "1.1"]]);
    expect(plants[1]?.roots[2]?.parent).toBe("2");
    expect(plants[1]?.roots[3]?.parent).toBe("1");
  });

  it("gives new roots an identifier that no plant has", () => {
    const moved = corrections.moveToPlant(start().present, "1.1", 2);
    const added = corrections.addRoot(moved, 1, "1", [
      [0, 0],
      [1, 1],
    ]);
    expect(added?.newId).toBe("1.2");
  });

  it("adds and removes plants", () => {
    const added = corrections.addPlant(start().present, 1);
    expect(added.plantId).toBe(3);
    const drawn = corrections.addRoot(added.plants, 3, null, [
      [0, 0],
      [0, 9],
    ]);
    expect(drawn?.newId).toBe("3");
    expect(corrections.deletePlant(added.plants, 1).map((plant) => plant.id)).toEqual([2, 3]);
  });

  it("computes orders from parents", () => {
    const [plant] = start().present;
    expect(plant && Object.fromEntries(corrections.rootOrders(plant))).toEqual({ "1": 1, "1.1": 2 });
  });
});

describe("history", () => {
  it("undoes and redoes, and forgets the future after a new correction", () => {
    const first = start();
    const second = commit(first, corrections.deleteRoot(first.present, "1.1"));
    expect(isCorrected(second)).toBe(true);
    expect(isCorrected(undo(second))).toBe(false);
    expect(redo(undo(second)).present).toBe(second.present);
    const other = commit(undo(second), corrections.deleteRoot(first.present, "2.1"));
    expect(redo(other)).toBe(other);
  });

  it("ends the check of a plant with its next correction", () => {
    const checked = corrections.setChecked(start().present, new Set([1]), true);
    expect(checked[0]?.checked).toBe(true);
    expect(corrections.deleteRoot(checked, "1.1")[0]?.checked).toBe(false);
  });

  it("does not add a step for an operation that changes nothing", () => {
    const first = start();
    expect(commit(first, corrections.setParent(first.present, "1.1", "1"))).toBe(first);
  });
});
