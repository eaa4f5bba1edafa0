import { describe, expect, it } from "vitest";
import { selectImages } from "../src/model/files";
import { formatInterval, formatTrait, traitLabel } from "../src/model/format";
import { photographsReducer } from "../src/model/photographs";
import { worstTrait } from "../src/model/uncertainty";
import { phenotype, plant, seedling, trait } from "./support";

describe("selectImages", () => {
  it("leaves out other files and sorts names by their numbers", () => {
    const files = ["plate_10.png", "notes.txt", "plate_2.JPG", "scan.tif"].map((name) => new File([], name));
    const selection = selectImages(files);
    expect(selection.images.map((file) => file.name)).toEqual(["plate_2.JPG", "plate_10.png", "scan.tif"]);
    expect(selection.ignored).toBe(1);
  });
});

describe("format", () => {
  it("shows unknown values as a dash, never as 0", () => {
    expect(formatTrait(trait("primary_root_length", null))).toBe("–");
    expect(formatTrait(trait("primary_root_length", 12.345))).toBe("12.35 mm");
    expect(formatTrait(trait("primary_root_angle", -3.2, { unit: "deg" }))).toBe("-3.20°");
    expect(formatTrait(trait("lateral_root_count", 4, { unit: "1" }))).toBe("4");
    expect(formatInterval(trait("x", 1, { interval: [0.9, 1.25] }))).toBe("0.900 – 1.25");
    expect(traitLabel("plate_total_root_length")).toBe("Total root length");
  });
});

describe("worstTrait", () => {
  it("puts unknown before uncertain values, and wide before narrow intervals", () => {
    const names = ["primary_root_length", "total_root_length"] as const;
    const worstOf = (...traits: ReturnType<typeof trait>[]) =>
      worstTrait(phenotype([plant(1, [], traits)]))?.trait.trait;
    expect(worstOf(trait(names[0], null), trait(names[1], 1, { quality: "uncertain" }))).toBe(names[0]);
    expect(
      worstOf(trait(names[0], 9, { interval: [8, 10] }), trait(names[1], 9, { interval: [5, 13] })),
    ).toBe(names[1]);
    expect(worstOf(trait("shoot_area", null), trait(names[1], 1))).toBe(names[1]);
    expect(worstTrait(phenotype([]))).toBeNull();
    const seed = plant(1, [], [trait(names[0], null)], {
      flags: [{ code: "ungerminated", message: "a seed", at: null }],
    });
    expect(worstTrait(phenotype([seed]))).toBeNull();
  });
});

describe("photographsReducer", () => {
  it("discards a correction when a photograph is measured again", () => {
    const measured = phenotype([seedling()]);
    const history = { past: [], present: [], future: [], origin: [] };
    let queue = photographsReducer([], {
      kind: "add",
      files: [new File([], "a.png"), new File([], "b.png")],
    });
    expect(queue.map(({ id }) => id)).toEqual([1, 2]);
    queue = photographsReducer(queue, { kind: "measured", id: 1, phenotype: measured, history });
    queue = photographsReducer(queue, { kind: "corrected", id: 1, phenotype: measured });
    queue = photographsReducer(queue, { kind: "measured", id: 1, phenotype: measured, history });
    expect(queue[0]?.corrected).toBeNull();
    expect(queue[1]?.status.kind).toBe("waiting");
  });
});
