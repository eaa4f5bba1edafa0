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

const MAX_SCALE = 40;
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
