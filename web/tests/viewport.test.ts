import { describe, expect, it } from "vitest";
import type { XY } from "../src/api/types";
import { CANVAS_MARGIN_PX, shiftOf, toScreen, type Viewport } from "../src/viewer/viewport";

const SCREEN = { width: 800, height: 600 };
const DRAWN: Viewport = { scale: 0.25, x: 30, y: -40 };

function shown(x: number, y: number, scale = DRAWN.scale): Viewport {
  return { scale, x, y };
}

describe("shiftOf", () => {
  it.each([
    shown(30, -40),
    shown(130, -190),
    shown(30 - CANVAS_MARGIN_PX, -40 + CANVAS_MARGIN_PX),
    shown(-20, -90, 0.3),
    shown(60, 10, 0.21),
  ])("shows each point of the photograph at its place: %o", (viewport) => {
    const shift = shiftOf(DRAWN, viewport, SCREEN);
    expect(shift).not.toBeNull();
    for (const point of [
      [0, 0],
      [1500, 900],
      [3999, 2999],
    ] as XY[]) {
      const [x, y] = toScreen(DRAWN, point);
      const { scale, x: dx, y: dy } = shift as Viewport;
      const [expectedX, expectedY] = toScreen(viewport, point);
      expect(x * scale + dx).toBeCloseTo(expectedX, 6);
      expect(y * scale + dy).toBeCloseTo(expectedY, 6);
    }
  });

  it.each([
    shown(30 + CANVAS_MARGIN_PX + 1, -40),
    shown(30, -40 - CANVAS_MARGIN_PX - 1),
    shown(30, -40, 0.32),
    shown(30, -40, 0.19),
    shown(400, -40, 0.21),
  ])("needs a new drawing when the canvas does not cover the screen, or is stretched: %o", (viewport) => {
    expect(shiftOf(DRAWN, viewport, SCREEN)).toBeNull();
  });
});
