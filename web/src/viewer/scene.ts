/** What the viewer draws, and where a click of the pointer hits it. */
import type { Flag, Phenotype, XY } from "../api/types";
import { rootOrders } from "../model/corrections";
import { distance, handleIndices, nearestOnLine } from "../model/geometry";
import type { EditedPlant, EditedRoot } from "../model/history";
import { toImage, toScreen, type Viewport } from "./viewport";

export const LAYERS = ["photograph", "organs", "roots", "landmarks", "plate", "flags"] as const;
export type Layer = (typeof LAYERS)[number];
export type Layers = Readonly<Record<Layer, boolean>>;

export interface Selection {
  plant: number | null;
  root: string | null;
  /** Index of the selected point in the root's polyline. */
  point: number | null;
}

export interface Scene {
  phenotype: Phenotype;
  plants: readonly EditedPlant[];
  layers: Layers;
  selection: Selection;
  /** Points of the root that is being drawn, with the pointer as its last one. */
  draft: readonly XY[] | null;
}

/** A handle is kept where the line would otherwise be off by more than this, in pixels of the photograph. */
const HANDLE_TOLERANCE_PX = 2;
const HIT_PX = 10;
const HANDLE_HIT_PX = 12;
const FINGER_HIT_PX = 22;

const handlesByLine = new WeakMap<readonly XY[], number[]>();

export function handlesOf(points: readonly XY[]): number[] {
  let handles = handlesByLine.get(points);
  if (handles === undefined) {
    handles = handleIndices(points, HANDLE_TOLERANCE_PX);
    handlesByLine.set(points, handles);
  }
  return handles;
}

const ordersByPlant = new WeakMap<EditedPlant, Map<string, number>>();

export function ordersOf(plant: EditedPlant): Map<string, number> {
  let orders = ordersByPlant.get(plant);
  if (orders === undefined) {
    orders = rootOrders(plant);
    ordersByPlant.set(plant, orders);
  }
  return orders;
}

export function selectedRoot(scene: Pick<Scene, "plants" | "selection">): EditedRoot | null {
  const { root } = scene.selection;
  if (root === null) return null;
  for (const plant of scene.plants)
    for (const candidate of plant.roots) if (candidate.id === root) return candidate;
  return null;
}

/** Return all flags with a place: those of the image and of its plants, each once. */
export function placedFlags(phenotype: Phenotype): Flag[] {
  const flags = [...phenotype.flags, ...phenotype.plants.flatMap((plant) => plant.flags)];
  const byPlace = new Map<string, Flag>();
  for (const flag of flags) if (flag.at !== null) byPlace.set(`${flag.code} ${flag.at.x} ${flag.at.y}`, flag);
  return [...byPlace.values()];
}

/** Return the index of the point whose handle is under the pointer. A finger is less exact than a mouse. */
export function hitHandle(
  root: EditedRoot,
  viewport: Viewport,
  at: XY,
  pointerType = "mouse",
): number | null {
  const radius = pointerType === "touch" ? FINGER_HIT_PX : HANDLE_HIT_PX;
  let best: { index: number; distance: number } | null = null;
  for (const index of handlesOf(root.points)) {
    const found = distance(toScreen(viewport, root.points[index] as XY), at);
    if (found <= radius && (best === null || found < best.distance)) best = { index, distance: found };
  }
  return best?.index ?? null;
}

export function hitRoot(
  plants: readonly EditedPlant[],
  viewport: Viewport,
  at: XY,
): { plant: number; root: string } | null {
  const point = toImage(viewport, at);
  let best = { distance: HIT_PX / viewport.scale, found: null as { plant: number; root: string } | null };
  for (const plant of plants) {
    for (const root of plant.roots) {
      const near = nearestOnLine(point, root.points);
      if (near !== null && near.distance < best.distance)
        best = { distance: near.distance, found: { plant: plant.id, root: root.id } };
    }
  }
  return best.found;
}

export function hitFlag(phenotype: Phenotype, viewport: Viewport, at: XY): Flag | null {
  for (const flag of placedFlags(phenotype)) {
    if (flag.at === null) continue;
    const [x, y] = toScreen(viewport, [flag.at.x, flag.at.y]);
    if (distance([x, y - 14], at) <= HANDLE_HIT_PX) return flag;
  }
  return null;
}
