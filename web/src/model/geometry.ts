/** Polylines in pixels of the photograph. */
import type { XY } from "../api/types";

export function distance(a: XY, b: XY): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

/** Return the point of the segment a-b nearest to p, and its share of the segment. */
export function projectToSegment(p: XY, a: XY, b: XY): { point: XY; share: number; distance: number } {
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const squared = dx * dx + dy * dy;
  const share =
    squared === 0 ? 0 : Math.max(0, Math.min(1, ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / squared));
  const point: XY = [a[0] + share * dx, a[1] + share * dy];
  return { point, share, distance: distance(p, point) };
}

/** Return the place on a polyline nearest to p: the index of the segment's first point, and the point. */
export function nearestOnLine(
  p: XY,
  line: readonly XY[],
): { index: number; point: XY; distance: number } | null {
  let best: { index: number; point: XY; distance: number } | null = null;
  for (let index = 0; index + 1 < line.length; index += 1) {
    const found = projectToSegment(p, line[index] as XY, line[index + 1] as XY);
    if (best === null || found.distance < best.distance)
      best = { index, point: found.point, distance: found.distance };
  }
  return best;
}

/** Points that a person has placed. They keep their handle even if they are on a straight line. */
const placed = new WeakSet<XY>();

export function place(point: XY): XY {
  placed.add(point);
  return point;
}

/**
 * Return the indices of the points that a person may drag: those that Ramer, Douglas and Peucker's algorithm keeps.
 * A traced root has a point every few pixels, too many for a handle on each.
 */
export function handleIndices(line: readonly XY[], tolerance: number): number[] {
  if (line.length < 2) return line.map((_, index) => index);
  const kept = new Set([0, line.length - 1]);
  line.forEach((point, index) => {
    if (placed.has(point)) kept.add(index);
  });
  const spans: [number, number][] = [[0, line.length - 1]];
  for (let span = spans.pop(); span !== undefined; span = spans.pop()) {
    const [first, last] = span;
    let [farthest, maximum] = [-1, tolerance];
    for (let index = first + 1; index < last; index += 1) {
      const found = projectToSegment(line[index] as XY, line[first] as XY, line[last] as XY).distance;
      if (found > maximum) [farthest, maximum] = [index, found];
    }
    if (farthest >= 0) {
      kept.add(farthest);
      spans.push([first, farthest], [farthest, last]);
    }
  }
  return [...kept].sort((a, b) => a - b);
}

/**
 * Move a handle. The points between it and its neighbouring handles follow in proportion to their arc length, so that
 * the fine shape of the root remains.
 */
export function moveHandle(line: readonly XY[], handles: readonly number[], handle: number, to: XY): XY[] {
  const at = handles[handle];
  if (at === undefined) return [...line];
  const from = line[at] as XY;
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const moved = [...line];
  moved[at] = place(to);
  for (const neighbour of [handles[handle - 1], handles[handle + 1]]) {
    if (neighbour === undefined) continue;
    const step = Math.sign(at - neighbour);
    const arcs = [0];
    for (let index = neighbour; index !== at; index += step)
      arcs.push((arcs.at(-1) as number) + distance(line[index] as XY, line[index + step] as XY));
    const total = arcs.at(-1) as number;
    for (let offset = 1; offset < arcs.length - 1; offset += 1) {
      const index = neighbour + step * offset;
      const share = total === 0 ? 0 : (arcs[offset] as number) / total;
      const point = line[index] as XY;
      moved[index] = [point[0] + share * dx, point[1] + share * dy];
    }
  }
  return moved;
}

/** Remove a handle with the points up to its neighbours. An end point moves the end to the next handle. */
export function removeHandle(line: readonly XY[], handles: readonly number[], handle: number): XY[] {
  const before = handles[handle - 1];
  const after = handles[handle + 1];
  if (before === undefined && after === undefined) return [...line];
  if (before === undefined) return line.slice(after);
  if (after === undefined) return line.slice(0, before + 1);
  return [...line.slice(0, before + 1), ...line.slice(after)];
}

/** Insert a handle at the place of the line that is nearest to p. Returns the new line and the index of the point. */
export function insertPoint(line: readonly XY[], p: XY): { line: XY[]; index: number } | null {
  const found = nearestOnLine(p, line);
  if (found === null) return null;
  const index = found.index + 1;
  return { line: [...line.slice(0, index), place(found.point), ...line.slice(index)], index };
}
