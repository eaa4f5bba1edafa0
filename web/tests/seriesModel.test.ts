import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { LIGHT_CURVES } from "../src/charts/curveColours";
import { axesOf, bandOf, runsOf, spreadLabels } from "../src/series/chartScale";
import { DEFAULT_CHOICES } from "../src/series/choices";
import { type CurvePoint, curvesOf, flagsOf, plantOn } from "../src/series/curves";
import { parseExifTime } from "../src/series/exifTime";
import { numberByTrack } from "../src/series/numbered";
import { entriesOf, toRequest } from "../src/series/seriesRequest";
import { formatTime } from "../src/series/times";
import { DAYS, entry, measured, PLATE, SCALE, SWAP, timed, track } from "./sampleSeries";
import { phenotype, plant } from "./support";

const ENTRIES = DAYS.map((found, index) => entry(index + 1, found));

describe("curves", () => {
  const curves = curvesOf(PLATE, ENTRIES, "primary_root_length");

  it("joins each plant with its own values, whatever its number on a photograph is", () => {
    expect(curves.map(({ points }) => points.map(({ value }) => value))).toEqual([
      [10, 14, 19],
      [5, 9],
      [8, 11],
    ]);
    expect(curves[1]?.points.map(({ photograph, hours }) => [photograph, hours])).toEqual([
      [1, 30],
      [2, 48],
    ]);
    expect(curves[0]?.points[0]?.interval).toEqual([9.5, 11]);
  });

  it("knows doubtful values by identity, scale and quality", () => {
    expect(curves.map(({ points }) => points.map(({ doubts }) => doubts))).toEqual([
      [[], [], ["scale_inconsistent"]],
      [[], ["scale_inconsistent"]],
      [[], ["identity_swap"]],
    ]);
    const total = curvesOf(PLATE, ENTRIES, "total_root_length");
    expect(total[0]?.points[0]?.doubts).toEqual(["uncertain"]);
  });

  it("marks the value at which a root shrinks, of this trait only", () => {
    const rate = {
      trait: "primary_root_length",
      scope: "interval" as const,
      first_photograph: 0,
      last_photograph: 1,
      days: 1,
      values: 2,
      rate: -2,
      interval: null,
      unit: "mm/day",
      quality: "uncertain" as const,
      flags: [{ code: "root_shrinks", message: "decreases", at: null }],
    };
    const shrinking = track(1, [1, 1, 1], { growth: [rate], flags: rate.flags });
    const plate = { ...PLATE, tracks: [shrinking] };
    const doubts = (name: "primary_root_length" | "lateral_root_count") =>
      curvesOf(plate, ENTRIES, name)[0]?.points.map((point) => point.doubts.includes("root_shrinks"));
    expect(doubts("primary_root_length")).toEqual([false, true, false]);
    expect(doubts("lateral_root_count")).toEqual([false, false, false]);
    expect(flagsOf(plate, shrinking)[0]).toEqual({ flag: rate.flags[0], photograph: 1 });
  });

  it("has no point for an unknown value, a length in pixels, or a photograph that was removed", () => {
    const [first, second] = ENTRIES;
    const change = (value: number | null, unit: string) => {
      const found = structuredClone(first?.phenotype ?? DAYS[0]);
      const [length] = found.plants[0]?.traits ?? [];
      if (length !== undefined) Object.assign(length, { value, unit });
      return { ...entry(1, found) };
    };
    const values = (entries: Parameters<typeof curvesOf>[1]) =>
      curvesOf(PLATE, entries, "primary_root_length")[0]?.points.map(({ value }) => value);
    expect(values([change(null, "mm"), second])).toEqual([14]);
    expect(values([change(120, "px"), second])).toEqual([14]);
    expect(values([undefined, second])).toEqual([14]);
  });

  it("places remarks at their photographs, and lists those about the scale beside each plant", () => {
    const [first, , third] = PLATE.tracks;
    if (first === undefined || third === undefined) throw new Error("no tracks");
    expect(flagsOf(PLATE, first)).toEqual([{ flag: SCALE, photograph: 2 }]);
    expect(flagsOf(PLATE, third).map(({ flag, photograph }) => [flag.code, photograph])).toEqual([
      ["vanished", null],
      [SWAP.code, 1],
    ]);
    expect(plantOn(third, 1)).toBe(3);
    expect(plantOn(third, 2)).toBeNull();
  });
});

describe("the request", () => {
  it("has the times that were entered and those of EXIF, and no laterals or outlines", () => {
    const organs = [
      { kind: "root", polygons: [[1, 2, 3, 4]] },
      { kind: "shoot", polygons: [[5, 6, 7, 8]] },
    ] as unknown as (typeof DAYS)[0]["plants"][0]["organs"];
    const [rooted] = DAYS[0].plants;
    if (rooted === undefined) throw new Error("no plant");
    const found = phenotype([{ ...rooted, organs }, plant(2, [], [], { organs })]);
    const sent = toRequest(
      [{ ...entry(1, found, "a.png"), time: "2023-08-01T10:30" }, entry(2, DAYS[1])],
      [null, "2023-08-02T11:00:00+02:00"],
      { ...DEFAULT_CHOICES, timeZone: " Europe/Amsterdam ", timeOfDay: "10:30" },
    );
    expect(
      sent.photographs.map(({ name, time, exif_time, plate }) => [name, time, exif_time, plate]),
    ).toEqual([
      ["a.png", "2023-08-01T10:30", null, null],
      ["p7_2023-08-02.png", null, "2023-08-02T11:00:00+02:00", null],
    ]);
    expect([sent.time_zone, sent.time_of_day]).toEqual(["Europe/Amsterdam", "10:30"]);
    const [first, second] = sent.photographs[0]?.phenotype.plants ?? [];
    expect(first?.roots.map(({ id }) => id)).toEqual(["1"]);
    expect(first?.organs.map(({ polygons }) => polygons)).toEqual([[], []]);
    expect(second?.organs).toEqual(organs); // its seed is its place
  });

  it("names one plate for all photographs if they show the same one", () => {
    const sent = toRequest(ENTRIES, [], { ...DEFAULT_CHOICES, isOnePlate: true });
    expect(new Set(sent.photographs.map(({ plate }) => plate))).toEqual(new Set(["plate"]));
    expect([sent.time_zone, sent.time_of_day]).toEqual([null, null]);
  });

  it("joins copies of one file by their names", () => {
    const copies = [entry(1, DAYS[0], "a.png"), entry(2, DAYS[0], "b.png")];
    const plate = {
      ...PLATE,
      photographs: [
        timed(0, DAYS[0], { image: "b.png" }),
        timed(1, DAYS[0], { image: "a.png" }),
        timed(2, DAYS[2]),
      ],
    };
    expect(entriesOf(plate, copies).map((each) => each?.id)).toEqual([2, 1, undefined]);
  });
});

describe("numbers of plants", () => {
  it("are those of the tracks on each photograph, and negative without a track", () => {
    const plate = { ...PLATE, tracks: PLATE.tracks.slice(0, 2) };
    const numbered = DAYS.map((_, index) => numberByTrack(ENTRIES, plate, index));
    expect(numbered.map((each) => each?.plants.map(({ id }) => id))).toEqual([
      [1, -2],
      [1, 2, -3],
      [1, 2],
    ]);
    expect(numbered[1]?.phenotype.plants.map(({ id }) => id)).toEqual([1, 2, -3]);
    expect(numbered[1]?.plants[1]?.roots[0]?.id).toBe("2");
    expect(numberByTrack([undefined, ...ENTRIES], plate, 0)).toBeNull();
  });

  it("come with one image for photographs of one size, so that the zoom stays", () => {
    const small = structuredClone(DAYS[1]);
    small.image = { ...small.image, width: 200 };
    const entries = [ENTRIES[0], entry(2, small), ENTRIES[2]];
    const [first, second, third] = entries.map((_, index) => numberByTrack(entries, PLATE, index));
    expect(third?.phenotype.image).toBe(first?.phenotype.image);
    expect(second?.phenotype.image.width).toBe(200);
  });
});

describe("axes", () => {
  const point = (
    photograph: number,
    value: number,
    interval: [number, number] | null = null,
  ): CurvePoint => ({
    ...{ photograph, hours: 24 * photograph, value, interval, unit: "mm", doubts: [] },
  });

  it("have whole counts, and room for intervals", () => {
    const counts = axesOf([{ track: 1, points: [point(0, 0), point(1, 2)] }], 24, true);
    expect(counts.valueTicks).toEqual([0, 1, 2]);
    const lengths = axesOf([{ track: 1, points: [point(0, 1), point(2, 30, [20, 43])] }], 48, false);
    expect(lengths.valueTicks).toEqual([0, 20, 40, 60]);
    const wide = axesOf([{ track: 1, points: [point(0, 30, [1, 400]), point(1, 40)] }], 24, false);
    expect(wide.valueTicks.at(-1)).toBe(60); // a very wide interval is cut off
    expect(lengths.hourTicks).toEqual([0, 12, 24, 36, 48]);
    expect(lengths.y(0)).toBeGreaterThan(lengths.y(43));
  });

  it("stay finite without values, and for one moment", () => {
    const axes = axesOf([{ track: 1, points: [] }], 0, false);
    expect([axes.x(0), axes.y(0), ...axes.valueTicks].every(Number.isFinite)).toBe(true);
    expect(axesOf([], 0, true).valueTicks).toEqual([0, 1]);
    const years = axesOf([], 24 * 4000, false);
    expect(years.hourTicks.length).toBeLessThan(12);
  });

  it("interrupt a band where the plant is missing", () => {
    const points = [point(0, 1, [0, 2]), point(1, 2, [1, 3]), point(3, 4, [3, 5]), point(4, 5)];
    const axes = axesOf([{ track: 1, points }], 96, false);
    const runs = runsOf(points);
    expect(runs.map((run) => run.map(({ photograph }) => photograph))).toEqual([
      [0, 1],
      [3, 4],
    ]);
    expect(bandOf(runs[0] ?? [], axes)).toMatch(/^M[\d.]+,[\d.]+(L[\d.]+,[\d.]+){3}Z$/);
    expect(bandOf([point(0, 1)], axes)).toBeNull();
  });

  it("move labels of equal values apart", () => {
    const heights = spreadLabels([100, 20, 100, 101]).toSorted((a, b) => a - b);
    const gaps = heights.slice(1).map((height, index) => height - (heights[index] as number));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(10);
  });
});

describe("times", () => {
  it("are shown with their offset, and without an invented time of day", () => {
    const [first, , third] = PLATE.photographs;
    if (first === undefined || third === undefined) throw new Error("no photographs");
    expect(formatTime(first)).toBe("2023-08-01 10:30 +02:00");
    expect(formatTime(third)).toBe("2023-08-03 (date only)");
    expect(formatTime({ ...first, time: "2023-08-01T10:30:15" })).toBe("2023-08-01 10:30");
  });
});

describe("EXIF", () => {
  const tiff = (texts: Record<number, string>, isLittle: boolean): Uint8Array => {
    const bytes = new Uint8Array(300);
    const view = new DataView(bytes.buffer);
    bytes.set(isLittle ? [0x49, 0x49, 42, 0] : [0x4d, 0x4d, 0, 42]);
    view.setUint32(4, 8, isLittle);
    view.setUint16(8, 1, isLittle);
    view.setUint16(10, 0x8769, isLittle);
    view.setUint32(18, 40, isLittle);
    view.setUint16(40, Object.keys(texts).length, isLittle);
    Object.entries(texts).forEach(([tag, text], index) => {
      const [place, start] = [42 + 12 * index, 120 + 40 * index];
      view.setUint16(place, Number(tag), isLittle);
      view.setUint16(place + 2, 2, isLittle);
      view.setUint32(place + 4, text.length + 1, isLittle);
      view.setUint32(place + 8, start, isLittle);
      bytes.set(new TextEncoder().encode(text), start);
    });
    return bytes;
  };
  const file = (prefix: number[], block: Uint8Array) => new Uint8Array([...prefix, ...block]);
  const ascii = (text: string) => [...new TextEncoder().encode(text)];
  const JPEG = [0xff, 0xd8, 0xff, 0xe1, 1, 50, ...ascii("Exif\0\0")];
  const PNG = [137, ...ascii("PNG\r\n"), 26, 10, 0, 0, 1, 44, ...ascii("eXIf")];
  const TIMES = { 36867: "2023:08:08 14:30:00", 36881: "+02:00" };

  it.each([
    ["JPEG", JPEG, true],
    ["JPEG, big-endian", JPEG, false],
    ["PNG", PNG, false],
    ["HEIC", [...ascii("\0\0\0\x18ftypheic"), ...Array(999).fill(0x69), ...ascii("Exif\0\0")], false],
    ["TIFF", [], true],
  ] as const)("is read from %s", (_, prefix, isLittle) => {
    expect(parseExifTime(file([...prefix], tiff(TIMES, isLittle)))).toBe("2023-08-08T14:30:00+02:00");
  });

  it.each([
    [{ 36867: "2023:08:08 14:30:00" }, "2023-08-08T14:30:00"],
    [{ 36867: "2023:08:08 14:30:00", 36881: "  :  " }, "2023-08-08T14:30:00"],
    [{ 36867: "0000:00:00 00:00:00" }, null],
    [{ 36867: "1970:01:01 00:00:00" }, null],
    [{ 36867: "2023:13:08 14:30:00" }, null],
    [{ 36867: "    :  :     :  :  " }, null],
    [{ 36881: "+02:00" }, null],
  ])("%o is %s", (texts, time) => {
    expect(parseExifTime(file(JPEG, tiff(texts as unknown as Record<number, string>, true)))).toBe(time);
  });

  it("is nothing in a truncated or hostile file", () => {
    const whole = file(JPEG, tiff(TIMES, true));
    for (let length = 0; length < whole.length; length += 1)
      expect(() => parseExifTime(whole.slice(0, length))).not.toThrow();
    for (const place of [16, 20, 30, 52, 62]) {
      const damaged = whole.slice();
      damaged.fill(0xff, place, place + 4);
      expect([null, "2023-08-08T14:30:00", "2023-08-08T14:30:00+02:00"]).toContain(parseExifTime(damaged));
    }
    expect(parseExifTime(new Uint8Array(0))).toBeNull();
  });
});

describe("colours of curves", () => {
  const css = readFileSync(new URL("../src/charts/curveColours.css", import.meta.url), "utf8");
  const themes = [...css.matchAll(/\{((?:\s*--curve-\d: #[0-9a-f]{6};)+)/g)].map(([, block]) =>
    [...(block ?? "").matchAll(/#[0-9a-f]{6}/g)].map(([colour]) => colour),
  );

  it("are those of the style sheet, and contrast with each theme", () => {
    expect(themes).toHaveLength(3);
    expect(themes[0]).toEqual([...LIGHT_CURVES]);
    expect(themes[1]).toEqual(themes[2]);
    for (const colour of themes[0] ?? [])
      expect(contrast(colour, "#ffffff"), colour).toBeGreaterThanOrEqual(4.5);
    for (const colour of themes[1] ?? [])
      expect(contrast(colour, "#1a201e"), colour).toBeGreaterThanOrEqual(4.5);
  });
});

function contrast(first: string, second: string): number {
  const [low, high] = [luminance(first), luminance(second)].sort((a, b) => a - b) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

function luminance(colour: string): number {
  const [red, green, blue] = [1, 3, 5].map((start) => {
    const share = Number.parseInt(colour.slice(start, start + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

// the fixtures differ: a repeated photograph would hide a wrong join
it("sample photographs have different values", () => {
  expect(new Set(DAYS.map((found) => JSON.stringify(found.plants))).size).toBe(DAYS.length);
  expect(measured(1, [1, null]).plants).toHaveLength(1);
});
