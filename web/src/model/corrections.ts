/** Operations on the roots of a photograph. Each returns a new state, or the same one if it does not apply. */
import type { XY } from "../api/types";
import { insertPoint } from "./geometry";
import type { EditedPlant, EditedRoot } from "./history";

type Plants = readonly EditedPlant[];

export function findRoot(plants: Plants, rootId: string): { plant: EditedPlant; root: EditedRoot } | null {
  for (const plant of plants) {
    const root = plant.roots.find((candidate) => candidate.id === rootId);
    if (root !== undefined) return { plant, root };
  }
  return null;
}

/** Return the order of each root: 1 without a parent, else one more than that of its parent. */
export function rootOrders(plant: EditedPlant): Map<string, number> {
  const byId = new Map(plant.roots.map((root) => [root.id, root]));
  const orders = new Map<string, number>();
  for (const root of plant.roots) {
    let order = 1;
    for (let parent = root.parent; parent !== null && order <= plant.roots.length; order += 1)
      parent = byId.get(parent)?.parent ?? null;
    orders.set(root.id, order);
  }
  return orders;
}

export function descendants(plant: EditedPlant, rootId: string): Set<string> {
  const found = new Set([rootId]);
  for (let size = 0; size !== found.size; ) {
    size = found.size;
    for (const root of plant.roots) if (root.parent !== null && found.has(root.parent)) found.add(root.id);
  }
  return found;
}

export function setPoints(plants: Plants, rootId: string, points: readonly XY[]): Plants {
  if (points.length < 2) return plants;
  return editRoots(plants, rootId, (roots) =>
    roots.map((root) => (root.id === rootId ? { ...root, points } : root)),
  );
}

/** Delete a root. Its laterals become laterals of its parent, so that none is lost. */
export function deleteRoot(plants: Plants, rootId: string): Plants {
  return editRoots(plants, rootId, (roots) => {
    const parent = roots.find((root) => root.id === rootId)?.parent ?? null;
    return roots
      .filter((root) => root.id !== rootId)
      .map((root) => (root.parent === rootId ? { ...root, parent } : root));
  });
}

/** Split a root at a point. The part towards the tip becomes a lateral of the part towards the base. */
export function splitRoot(
  plants: Plants,
  rootId: string,
  index: number,
): { plants: Plants; newId: string } | null {
  const found = findRoot(plants, rootId);
  if (found === null || index < 1 || index > found.root.points.length - 2) return null;
  const newId = freeId(plants, found.plant.id, rootId);
  const cut = found.root.points[index] as XY;
  const isOnTail = (root: EditedRoot) => {
    const origin = root.points[0] as XY;
    const squared = found.root.points.map(([x, y]) => (x - origin[0]) ** 2 + (y - origin[1]) ** 2);
    return squared.indexOf(Math.min(...squared)) > index;
  };
  const changed = editRoots(plants, rootId, (roots) => [
    ...roots.map((root) => {
      if (root.id === rootId) return { ...root, points: root.points.slice(0, index + 1) };
      return root.parent === rootId && isOnTail(root) ? { ...root, parent: newId } : root;
    }),
    { id: newId, parent: rootId, points: [cut, ...found.root.points.slice(index + 1)] },
  ]);
  return { plants: changed, newId };
}

/** Add a root to a plant. A plant's first root is its primary root, and later ones are laterals of `parent`. */
export function addRoot(
  plants: Plants,
  plantId: number,
  parent: string | null,
  points: readonly XY[],
): { plants: Plants; newId: string } | null {
  const plant = plants.find((candidate) => candidate.id === plantId);
  if (plant === undefined || points.length < 2) return null;
  const newId = freeId(plants, plantId, parent);
  const changed = plants.map((candidate) =>
    candidate.id === plantId
      ? { ...candidate, checked: false, roots: [...candidate.roots, { id: newId, parent, points }] }
      : candidate,
  );
  return { plants: changed, newId };
}

/** Make another root, or none, the parent of a root. A root cannot become a lateral of its own laterals. */
export function setParent(plants: Plants, rootId: string, parent: string | null): Plants {
  const found = findRoot(plants, rootId);
  if (found === null || found.root.parent === parent) return plants;
  if (parent !== null) {
    const isOfPlant = found.plant.roots.some((root) => root.id === parent);
    if (!isOfPlant || descendants(found.plant, rootId).has(parent)) return plants;
  }
  return editRoots(plants, rootId, (roots) =>
    roots.map((root) => (root.id === rootId ? { ...root, parent } : root)),
  );
}

/** Give a root with all its laterals to another plant, as a lateral of that plant's primary root. */
export function moveToPlant(plants: Plants, rootId: string, plantId: number): Plants {
  const found = findRoot(plants, rootId);
  const target = plants.find((plant) => plant.id === plantId);
  if (found === null || target === undefined || found.plant.id === plantId) return plants;
  const moved = descendants(found.plant, rootId);
  const primary = target.roots.find((root) => root.parent === null)?.id ?? null;
  const roots = found.plant.roots
    .filter((root) => moved.has(root.id))
    .map((root) => (root.id === rootId ? { ...root, parent: primary } : root));
  return plants.map((plant) => {
    if (plant.id === plantId) return { ...plant, checked: false, roots: [...plant.roots, ...roots] };
    if (plant.id !== found.plant.id) return plant;
    return { ...plant, checked: false, roots: plant.roots.filter((root) => !moved.has(root.id)) };
  });
}

export function addPlant(plants: Plants, plate: number | null): { plants: Plants; plantId: number } {
  const plantId = plants.reduce((max, plant) => Math.max(max, plant.id), 0) + 1;
  return { plants: [...plants, { id: plantId, plate, checked: false, roots: [] }], plantId };
}

export function deletePlant(plants: Plants, plantId: number): Plants {
  return plants.filter((plant) => plant.id !== plantId);
}

export function setChecked(plants: Plants, plantIds: ReadonlySet<number>, checked: boolean): Plants {
  if (plants.every((plant) => !plantIds.has(plant.id) || plant.checked === checked)) return plants;
  return plants.map((plant) => (plantIds.has(plant.id) ? { ...plant, checked } : plant));
}

/** Reverse a root, so that its tip becomes its base. */
export function reverseRoot(plants: Plants, rootId: string): Plants {
  const found = findRoot(plants, rootId);
  return found === null ? plants : setPoints(plants, rootId, [...found.root.points].reverse());
}

function editRoots(
  plants: Plants,
  rootId: string,
  edit: (roots: readonly EditedRoot[]) => readonly EditedRoot[],
): Plants {
  const found = findRoot(plants, rootId);
  if (found === null) return plants;
  return plants.map((plant) =>
    plant.id === found.plant.id ? { ...plant, checked: false, roots: edit(plant.roots) } : plant,
  );
}

/** Return an identifier that no root of the photograph has: 2.3 for the third root below root 2. */
function freeId(plants: Plants, plantId: number, parent: string | null): string {
  const taken = new Set(plants.flatMap((plant) => plant.roots.map((root) => root.id)));
  if (parent === null && !taken.has(String(plantId))) return String(plantId);
  const prefix = parent ?? String(plantId);
  for (let number = 1; ; number += 1) {
    const id = `${prefix}.${number}`;
    if (!taken.has(id)) return id;
  }
}

/** Insert a point halfway to the next handle. Returns the new state and the index of the point. */
export function insertAfter(
  plants: Plants,
  rootId: string,
  index: number,
  handlesOf: (points: readonly XY[]) => number[],
): { plants: Plants; index: number } | null {
  const points = findRoot(plants, rootId)?.root.points;
  if (points === undefined) return null;
  const handles = handlesOf(points);
  const at = handles.indexOf(index);
  const [first, second] = [handles[at], handles[at + 1]];
  if (first === undefined || second === undefined) return null;
  const [a, b] = [points[first] as XY, points[second] as XY];
  const inserted = insertPoint(points, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
  return inserted === null
    ? null
    : { plants: setPoints(plants, rootId, inserted.line), index: inserted.index };
}
