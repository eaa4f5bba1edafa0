import { describe, expect, it } from "vitest";
import type { XY } from "../src/api/types";
import { handleIndices, moveHandle, nearestOnLine, removeHandle } from "../src/model/geometry";

const BENT: XY[] = [
  [0, 0],
  [0, 10],
  [0.2, 20],
  [0, 30],
  [30, 30],
];

describe("handleIndices", () => {
  it("keeps ends and corners, and drops points on a line", () => {
    expect(handleIndices(BENT, 1)).toEqual([0, 3, 4]);
    expect(handleIndices(BENT, 0.15)).toEqual([0, 2, 3, 4]);
  });
});

describe("moveHandle", () => {
  it("moves the points between handles in proportion, and no others", () => {
    const moved = moveHandle(BENT, [0, 3, 4], 1, [3, 30]);
    expect(moved[0]).toEqual([0, 0]);
    expect(moved[3]).toEqual([3, 30]);
    expect(moved[4]).toEqual([30, 30]);
    expect(moved[1]?.[0]).toBeCloseTo(1, 2);
    expect(moved[2]?.[0]).toBeCloseTo(2.2, 2);
  });

  it("moves an end", () => {
    expect(moveHandle(BENT, [0, 3, 4], 2, [30, 40]).at(-1)).toEqual([30, 40]);
  });
});

describe("removeHandle", () => {
  it("replaces a handle by a straight line, and shortens the line at its ends", () => {
    expect(removeHandle(BENT, [0, 3, 4], 1)).toEqual([BENT[0], BENT[4]]);
    expect(removeHandle(BENT, [0, 3, 4], 0)).toEqual([BENT[3], BENT[4]]);
    expect(removeHandle(BENT, [0, 3, 4], 2)).toEqual(BENT.slice(0, 4));
  });
});

describe("nearestOnLine", () => {
  it("returns the projection to the nearest segment", () => {
    expect(nearestOnLine([15, 33], BENT)).toEqual({ index: 3, point: [15, 30], distance: 3 });
    expect(nearestOnLine([0, 0], [])).toBeNull();
  });
});
