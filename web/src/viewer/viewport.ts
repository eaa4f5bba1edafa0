/** Transformation from pixels of the photograph to pixels of the screen. */
import type { XY } from "../api/types";

export interface Viewport {
  /** Screen pixels per pixel of the photograph. */
  scale: number;
  /** Screen position of the photograph's top left corner. */
  x: number;
  y: number;
}

export interface Size {
  width: number;
  height: number;
}

/** The canvas exceeds the screen by this on each side, so that it can be moved without being drawn again. */
export const CANVAS_MARGIN_PX = 160;

const MAX_SCALE = 40;
/** Up to this ratio, a drawing is scaled while a gesture lasts. Lines are then up to a quarter too thick or thin. */
const MAX_STRETCH = 1.25;
const MARGIN = 0.04;

/** Return the viewport that shows the whole photograph. */
export function fitToScreen(image: Size, screen: Size): Viewport {
  const scale = Math.min(screen.width / image.width, screen.height / image.height) * (1 - 2 * MARGIN) || 1;
  return {
    scale,
    x: (screen.width - image.width * scale) / 2,
    y: (screen.height - image.height * scale) / 2,
  };
}

/** Zoom by a factor around a point of the screen, which stays where it is. */
export function zoomAt(viewport: Viewport, factor: number, at: XY, minimum: number): Viewport {
  const scale = Math.max(minimum, Math.min(MAX_SCALE, viewport.scale * factor));
  const ratio = scale / viewport.scale;
  return { scale, x: at[0] - (at[0] - viewport.x) * ratio, y: at[1] - (at[1] - viewport.y) * ratio };
}

/** The centre of the first pixel is at (0, 0), so its corner is at (-0.5, -0.5). */
export function toScreen(viewport: Viewport, [x, y]: readonly [number, number]): XY {
  return [(x + 0.5) * viewport.scale + viewport.x, (y + 0.5) * viewport.scale + viewport.y];
}

export function toImage(viewport: Viewport, [x, y]: XY): XY {
  return [(x - viewport.x) / viewport.scale - 0.5, (y - viewport.y) / viewport.scale - 0.5];
}

/** Centre a point of the photograph, at least at the given scale. */
export function centreOn(viewport: Viewport, point: XY, screen: Size, scale: number): Viewport {
  const next = Math.max(viewport.scale, scale);
  return {
    scale: next,
    x: screen.width / 2 - (point[0] + 0.5) * next,
    y: screen.height / 2 - (point[1] + 0.5) * next,
  };
}

/** Keep at least a part of the photograph on the screen. */
export function clamp(viewport: Viewport, image: Size, screen: Size): Viewport {
  const [width, height] = [image.width * viewport.scale, image.height * viewport.scale];
  const keep = 80;
  return {
    scale: viewport.scale,
    x: Math.min(screen.width - keep, Math.max(keep - width, viewport.x)),
    y: Math.min(screen.height - keep, Math.max(keep - height, viewport.y)),
  };
}

/**
 * Return the transformation with which a canvas drawn for one viewport shows another one, with its origin at the top left
 * corner of the screen. Null if the canvas does not cover the screen, or would be stretched too much.
 */
export function shiftOf(drawn: Viewport, shown: Viewport, screen: Size): Viewport | null {
  const scale = shown.scale / drawn.scale;
  if (scale > MAX_STRETCH || scale < 1 / MAX_STRETCH) return null;
  const [x, y] = [shown.x - drawn.x * scale, shown.y - drawn.y * scale];
  const margin = CANVAS_MARGIN_PX * scale;
  const isCovered =
    x <= margin &&
    y <= margin &&
    x + screen.width * scale + margin >= screen.width &&
    y + screen.height * scale + margin >= screen.height;
  return isCovered ? { scale, x, y } : null;
}
