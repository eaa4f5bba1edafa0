/** Drawing of the layers on a canvas. It runs for each frame, so paths are cached by the polyline that they show. */
import type { Organ, Phenotype, XY } from "../api/types";
import { LABEL_TEXT, LANDMARK_COLOURS, OUTLINE, PLATE_COLOUR, plantColour } from "./colours";
import { handlesOf, ordersOf, placedFlags, type Scene, selectedRoot } from "./scene";
import { toScreen, type Viewport } from "./viewport";

const ORGAN_COLOURS: Record<Organ["kind"], string> = {
  root: "rgba(230, 159, 0, 0.22)",
  shoot: "rgba(0, 200, 130, 0.28)",
  seed: "rgba(204, 121, 167, 0.35)",
};
const FLAG_COLOUR = "#ffb020";

export function draw(
  context: CanvasRenderingContext2D,
  scene: Scene,
  viewport: Viewport,
  pixelRatio: number,
): void {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  const toPhotograph = () => {
    const scale = viewport.scale * pixelRatio;
    context.setTransform(
      scale,
      0,
      0,
      scale,
      viewport.x * pixelRatio + scale / 2,
      viewport.y * pixelRatio + scale / 2,
    );
  };
  toPhotograph();
  context.lineJoin = context.lineCap = "round";
  if (scene.layers.organs) drawOrgans(context, scene.phenotype);
  if (scene.layers.plate) drawPlates(context, scene.phenotype, viewport);
  if (scene.layers.roots) drawRoots(context, scene, viewport);
  context.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
  if (scene.layers.landmarks) drawLandmarks(context, scene.phenotype, viewport);
  if (scene.layers.roots) drawLabels(context, scene, viewport);
  if (scene.layers.flags) drawFlags(context, scene.phenotype, viewport);
  drawHandles(context, scene, viewport);
  drawDraft(context, scene, viewport);
}

const paths = new WeakMap<readonly XY[], Path2D>();

function pathOf(points: readonly XY[]): Path2D {
  let path = paths.get(points);
  if (path === undefined) {
    path = new Path2D();
    points.forEach(([x, y], index) => {
      if (index === 0) path?.moveTo(x, y);
      else path?.lineTo(x, y);
    });
    paths.set(points, path);
  }
  return path;
}

const organPaths = new WeakMap<Organ, Path2D>();

function drawOrgans(context: CanvasRenderingContext2D, phenotype: Phenotype): void {
  for (const organ of phenotype.plants.flatMap((plant) => plant.organs)) {
    let path = organPaths.get(organ);
    if (path === undefined) {
      path = new Path2D();
      for (const polygon of organ.polygons) {
        for (let index = 0; index + 1 < polygon.length; index += 2) {
          const [x, y] = [polygon[index] as number, polygon[index + 1] as number];
          if (index === 0) path.moveTo(x, y);
          else path.lineTo(x, y);
        }
        path.closePath();
      }
      organPaths.set(organ, path);
    }
    context.fillStyle = ORGAN_COLOURS[organ.kind];
    context.fill(path, "evenodd");
  }
}

function drawPlates(context: CanvasRenderingContext2D, phenotype: Phenotype, viewport: Viewport): void {
  const plates = phenotype.plates.length > 0 ? phenotype.plates.map((each) => each.plate) : [phenotype.plate];
  context.setLineDash([8 / viewport.scale, 5 / viewport.scale]);
  for (const plate of plates) {
    if (plate === null) continue;
    context.beginPath();
    for (const corner of plate.corners) context.lineTo(corner.x, corner.y);
    context.closePath();
    for (const [colour, width] of [
      [OUTLINE, 3.5],
      [PLATE_COLOUR, 1.5],
    ] as const) {
      context.strokeStyle = colour;
      context.lineWidth = width / viewport.scale;
      context.stroke();
    }
  }
  context.setLineDash([]);
}

function drawRoots(context: CanvasRenderingContext2D, scene: Scene, viewport: Viewport): void {
  const { selection } = scene;
  for (const plant of scene.plants) {
    const orders = ordersOf(plant);
    const isDimmed = selection.plant !== null && selection.plant !== plant.id;
    for (const root of plant.roots) {
      const order = orders.get(root.id) ?? 1;
      const width = (root.id === selection.root ? 3.4 : order === 1 ? 2.8 : 1.8) / viewport.scale;
      const path = pathOf(root.points);
      context.globalAlpha = isDimmed ? 0.45 : 1;
      context.strokeStyle = root.id === selection.root ? "#ffffff" : OUTLINE;
      context.lineWidth = width + (root.id === selection.root ? 3.2 : 1.6) / viewport.scale;
      context.stroke(path);
      context.strokeStyle = plantColour(plant.id);
      context.lineWidth = width;
      if (order > 2) context.setLineDash([6 / viewport.scale, 4 / viewport.scale]);
      context.stroke(path);
      context.setLineDash([]);
    }
  }
  context.globalAlpha = 1;
}

function drawLandmarks(context: CanvasRenderingContext2D, phenotype: Phenotype, viewport: Viewport): void {
  for (const landmark of phenotype.plants.flatMap((plant) => plant.landmarks)) {
    const [x, y] = toScreen(viewport, [landmark.x, landmark.y]);
    context.beginPath();
    context.arc(x, y, 4.5, 0, 2 * Math.PI);
    context.strokeStyle = OUTLINE;
    context.lineWidth = 3.5;
    context.stroke();
    context.strokeStyle = LANDMARK_COLOURS[landmark.kind];
    context.lineWidth = 1.8;
    context.stroke();
  }
}

function drawLabels(context: CanvasRenderingContext2D, scene: Scene, viewport: Viewport): void {
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const plant of scene.plants) {
    const base =
      plant.roots.find((root) => root.parent === null)?.points[0] ?? organPlace(scene.phenotype, plant.id);
    if (base === undefined) continue;
    const [x, y] = toScreen(viewport, base);
    const text = plant.id < 1 ? "–" : plant.checked ? `${plant.id} ✓` : String(plant.id);
    const width = context.measureText(text).width + 12;
    context.fillStyle = plant.id === scene.selection.plant ? "#ffffff" : plantColour(plant.id);
    context.beginPath();
    context.roundRect(x - width / 2, y - 30, width, 18, 9);
    context.fill();
    context.fillStyle = LABEL_TEXT;
    context.fillText(text, x, y - 20.5);
  }
}

/** Return a place for the label of a plant without roots. */
function organPlace(phenotype: Phenotype, plant: number): XY | undefined {
  const polygon = phenotype.plants.find(({ id }) => id === plant)?.organs[0]?.polygons[0];
  const [x, y] = [polygon?.[0], polygon?.[1]];
  return x === undefined || y === undefined ? undefined : [x, y];
}

function drawFlags(context: CanvasRenderingContext2D, phenotype: Phenotype, viewport: Viewport): void {
  for (const flag of placedFlags(phenotype)) {
    if (flag.at === null) continue;
    const [x, y] = toScreen(viewport, [flag.at.x, flag.at.y]);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - 9, y - 18);
    context.lineTo(x + 9, y - 18);
    context.closePath();
    context.fillStyle = FLAG_COLOUR;
    context.strokeStyle = OUTLINE;
    context.lineWidth = 1.5;
    context.fill();
    context.stroke();
    context.fillStyle = LABEL_TEXT;
    context.font = "700 11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText("!", x, y - 12);
  }
}

function drawHandles(context: CanvasRenderingContext2D, scene: Scene, viewport: Viewport): void {
  const root = selectedRoot(scene);
  if (root === null || scene.draft !== null) return;
  const last = root.points.length - 1;
  for (const index of handlesOf(root.points)) {
    const [x, y] = toScreen(viewport, root.points[index] as XY);
    const isSelected = index === scene.selection.point;
    const size = (index === 0 || index === last ? 6.5 : 4.5) + (isSelected ? 1.5 : 0);
    context.beginPath();
    // the base is a square, the tip and all other points are circles
    if (index === 0) context.rect(x - size, y - size, 2 * size, 2 * size);
    else context.arc(x, y, size, 0, 2 * Math.PI);
    context.fillStyle = isSelected ? "#1c7c54" : index === last ? "#ffe08a" : "#ffffff";
    context.strokeStyle = isSelected ? "#ffffff" : LABEL_TEXT;
    context.lineWidth = 2;
    context.fill();
    context.stroke();
  }
}

function drawDraft(context: CanvasRenderingContext2D, scene: Scene, viewport: Viewport): void {
  if (scene.draft === null) return;
  const points = scene.draft.map((point) => toScreen(viewport, point));
  for (const [colour, width] of [
    [OUTLINE, 5],
    ["#ffffff", 2.4],
  ] as const) {
    context.beginPath();
    for (const [x, y] of points) context.lineTo(x, y);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
  for (const [x, y] of points.slice(0, -1)) {
    context.beginPath();
    context.arc(x, y, 4, 0, 2 * Math.PI);
    context.fillStyle = "#ffffff";
    context.fill();
  }
}
