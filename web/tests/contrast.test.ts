import { describe, expect, it } from "vitest";
import { LABEL_TEXT, LANDMARK_COLOURS, OUTLINE, PLATE_COLOUR, plantColour } from "../src/viewer/colours";

/** WCAG 2.2: 1.4.11 for lines and marks, 1.4.3 for text. */
const MIN_CONTRAST = 3;
const MIN_TEXT_CONTRAST = 4.5;
const PLANTS = Array.from({ length: 8 }, (_, index) => plantColour(index + 1));

type Colour = readonly [number, number, number, number];

function parse(text: string): Colour {
  const hex = /^#(..)(..)(..)$/.exec(text)?.slice(1);
  if (hex !== undefined) return [...hex.map((part) => Number.parseInt(part, 16)), 1] as unknown as Colour;
  const [red, green, blue, alpha] = [...text.matchAll(/[\d.]+/g)].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return [red, green, blue, alpha];
}

function over(front: Colour, back: Colour): Colour {
  const mix = (index: 0 | 1 | 2) => front[3] * front[index] + (1 - front[3]) * back[index];
  return [mix(0), mix(1), mix(2), 1];
}

function luminance(colour: Colour): number {
  const [red, green, blue] = [colour[0], colour[1], colour[2]].map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(first: Colour, second: Colour): number {
  const [low, high] = [luminance(first), luminance(second)].sort((a, b) => a - b) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

describe("colours on the photograph", () => {
  // a line has an outline, so that it contrasts with a bright photograph by its outline
  it.each(["#ffffff", "#c8c8c8", "#808080", "#202020", "#000000"])(
    "lines contrast with their outline on %s",
    (agar) => {
      const outline = over(parse(OUTLINE), parse(agar));
      for (const colour of [...PLANTS, ...Object.values(LANDMARK_COLOURS), PLATE_COLOUR])
        expect(contrast(parse(colour), outline), colour).toBeGreaterThanOrEqual(MIN_CONTRAST);
    },
  );

  it("text on labels contrasts with each plant's colour", () => {
    for (const colour of [...PLANTS, "#ffffff"])
      expect(contrast(parse(colour), parse(LABEL_TEXT)), colour).toBeGreaterThanOrEqual(MIN_TEXT_CONTRAST);
  });

  it("computes the contrast of WCAG", () => {
    expect(contrast(parse("#000000"), parse("#ffffff"))).toBeCloseTo(21, 5);
    expect(contrast(parse("#777777"), parse("#ffffff"))).toBeCloseTo(4.48, 2);
  });
});
