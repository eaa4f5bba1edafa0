import {
  type KeyboardEvent,
  type PointerEvent,
  type Ref,
  useCallback,
  useEffect,
  useImperativeHandle,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import type { Flag, Phenotype, XY } from "../api/types";
import { distance, insertPoint, moveHandle } from "../model/geometry";
import type { EditedPlant } from "../model/history";
import { strings } from "../strings";
import { draw } from "./draw";
import { middle, positionOf } from "./pointer";
import { handlesOf, hitFlag, hitHandle, hitRoot, type Layers, type Selection, selectedRoot } from "./scene";
import {
  CANVAS_MARGIN_PX,
  centreOn,
  clamp,
  fitToScreen,
  type Size,
  shiftOf,
  toImage,
  type Viewport,
  zoomAt,
} from "./viewport";

export interface ViewerHandle {
  zoom: (factor: number) => void;
  fit: () => void;
  /** Centre a point of the photograph and zoom in to it. */
  show: (point: XY) => void;
  focus: () => void;
}

export interface ViewerProps {
  ref?: Ref<ViewerHandle>;
  file: File;
  phenotype: Phenotype;
  plants: readonly EditedPlant[];
  layers: Layers;
  selection: Selection;
  /** True while a new root is drawn by clicks. */
  isDrawing: boolean;
  onSelect: (selection: Selection) => void;
  onFlag: (flag: Flag) => void;
  onPoints: (root: string, points: readonly XY[], point: number | null) => void;
  onDrawn: (points: readonly XY[]) => void;
  onCancelDrawing: () => void;
}

const PAN_STEP_PX = 60;
const CLICK_PX = 4;
const FOCUS_SCALE = 1.2;
const LINE_HEIGHT_PX = 16;
/** Time without movement after which a moved canvas is drawn again. */
const SETTLE_MS = 80;

type Gesture =
  | { kind: "pan"; from: XY; start: Viewport; hasMoved: boolean }
  | { kind: "handle"; root: string; handles: number[]; handle: number; line: readonly XY[] }
  | { kind: "pinch"; distance: number; start: Viewport; centre: XY };

/** The photograph under a canvas with its roots: pan, zoom, selection, and correction by pointer and keyboard. */
export function Viewer(props: ViewerProps) {
  const { file, phenotype, plants, layers, selection, isDrawing } = props;
  const container = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const image = useRef<HTMLImageElement>(null);
  const viewport = useRef<Viewport>({ scale: 1, x: 0, y: 0 });
  const screen = useRef<Size>({ width: 1, height: 1 });
  const gesture = useRef<Gesture | null>(null);
  const pointers = useRef(new Map<number, XY>());
  const [moved, setMoved] = useState<{ root: string; points: readonly XY[] } | null>(null);
  const [draft, setDraft] = useState<XY[]>([]);
  const [pointer, setPointer] = useState<XY | null>(null);
  const [isDecoded, setDecoded] = useState(true);
  const url = useObjectUrl(file);

  const shown =
    moved === null
      ? plants
      : plants.map((plant) => ({
          ...plant,
          roots: plant.roots.map((root) =>
            root.id === moved.root ? { ...root, points: moved.points } : root,
          ),
        }));
  const draftShown = !isDrawing ? null : pointer === null ? draft : [...draft, pointer];

  const frame = useRef(0);
  const settled = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  /** The viewport of the last drawing, which the canvas still shows; null if the scene has changed since. */
  const drawn = useRef<Viewport | null>(null);
  const render = useRef(() => {});
  render.current = () => {
    const target = canvas.current;
    const { scale, x, y } = viewport.current;
    if (image.current !== null) image.current.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    if (target === null) return;
    clearTimeout(settled.current);
    const shift = drawn.current === null ? null : shiftOf(drawn.current, viewport.current, screen.current);
    if (shift !== null) {
      target.style.transform = `translate(${shift.x}px, ${shift.y}px) scale(${shift.scale})`;
      settled.current = setTimeout(() => {
        drawn.current = null;
        requestFrame();
      }, SETTLE_MS);
      return;
    }
    const context = target.getContext("2d");
    if (context === null) return;
    draw(
      context,
      { phenotype, plants: shown, layers, selection, draft: draftShown },
      { scale, x: x + CANVAS_MARGIN_PX, y: y + CANVAS_MARGIN_PX },
      globalThis.devicePixelRatio || 1,
    );
    target.style.transform = "";
    drawn.current = viewport.current;
  };
  const requestFrame = useCallback(() => {
    if (frame.current !== 0) return;
    frame.current = requestAnimationFrame(() => {
      frame.current = 0;
      render.current();
    });
  }, []);
  const setViewport = useCallback(
    (next: Viewport) => {
      viewport.current = clamp(next, phenotype.image, screen.current);
      requestFrame();
    },
    [phenotype.image, requestFrame],
  );

  useLayoutEffect(() => {
    drawn.current = null; // the scene has changed
    requestFrame();
  });
  useEffect(() => () => clearTimeout(settled.current), []);

  useLayoutEffect(() => {
    const element = container.current;
    const target = canvas.current;
    if (element === null || target === null) return;
    let fitted: Viewport | null = null;
    const resize = () => {
      const { width, height } = element.getBoundingClientRect();
      const ratio = globalThis.devicePixelRatio || 1;
      screen.current = { width: Math.max(1, width), height: Math.max(1, height) };
      const [canvasWidth, canvasHeight] = [width + 2 * CANVAS_MARGIN_PX, height + 2 * CANVAS_MARGIN_PX];
      [target.width, target.height] = [Math.round(canvasWidth * ratio), Math.round(canvasHeight * ratio)];
      Object.assign(target.style, { width: `${canvasWidth}px`, height: `${canvasHeight}px` });
      drawn.current = null;
      if (width > 1 && (fitted === null || fitted === viewport.current)) {
        fitted = fitToScreen(phenotype.image, screen.current);
        viewport.current = fitted;
      }
      render.current();
    };
    resize();
    const observer = new ResizeObserver(resize);
    observer.observe(element);
    return () => observer.disconnect();
  }, [phenotype.image]);

  const zoom = useCallback(
    (factor: number, at?: XY) => {
      const centre: XY = at ?? [screen.current.width / 2, screen.current.height / 2];
      const minimum = fitToScreen(phenotype.image, screen.current).scale / 2;
      setViewport(zoomAt(viewport.current, factor, centre, minimum));
    },
    [phenotype.image, setViewport],
  );

  useEffect(() => {
    const element = container.current;
    if (element === null) return;
    // React's wheel listeners are passive, so they cannot keep the page from scrolling
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_HEIGHT_PX : 1;
      zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), positionOf(event, element));
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  }, [zoom]);

  useEffect(() => {
    if (!isDrawing) {
      setDraft([]);
      setPointer(null);
    }
  }, [isDrawing]);

  useImperativeHandle(props.ref, () => ({
    zoom,
    fit: () => setViewport(fitToScreen(phenotype.image, screen.current)),
    show: (point) => setViewport(centreOn(viewport.current, point, screen.current, FOCUS_SCALE)),
    focus: () => container.current?.focus(),
  }));

  const inside = ([x, y]: XY): XY => [
    Math.min(phenotype.image.width - 1, Math.max(0, x)),
    Math.min(phenotype.image.height - 1, Math.max(0, y)),
  ];
  const finishDrawing = () => {
    if (draft.length > 1) props.onDrawn(draft);
    else props.onCancelDrawing();
  };

  const onPointerDown = (event: PointerEvent<HTMLDivElement>) => {
    const at = positionOf(event, event.currentTarget);
    event.currentTarget.setPointerCapture(event.pointerId);
    pointers.current.set(event.pointerId, at);
    if (pointers.current.size === 2) {
      const [first, second] = [...pointers.current.values()] as [XY, XY];
      setMoved(null);
      gesture.current = {
        kind: "pinch",
        distance: distance(first, second),
        start: viewport.current,
        centre: middle(first, second),
      };
      return;
    }
    const root = isDrawing || event.button !== 0 ? null : selectedRoot({ plants, selection });
    const index = root === null ? null : hitHandle(root, viewport.current, at, event.pointerType);
    if (root !== null && index !== null) {
      const handles = handlesOf(root.points);
      props.onSelect({ ...selection, point: index });
      gesture.current = {
        kind: "handle",
        root: root.id,
        handles,
        handle: handles.indexOf(index),
        line: root.points,
      };
      return;
    }
    gesture.current = { kind: "pan", from: at, start: viewport.current, hasMoved: false };
  };

  const onPointerMove = (event: PointerEvent<HTMLDivElement>) => {
    const at = positionOf(event, event.currentTarget);
    if (pointers.current.has(event.pointerId)) pointers.current.set(event.pointerId, at);
    const current = gesture.current;
    if (isDrawing) setPointer(inside(toImage(viewport.current, at)));
    if (current?.kind === "pinch" && pointers.current.size === 2) {
      const [first, second] = [...pointers.current.values()] as [XY, XY];
      const centre = middle(first, second);
      const minimum = fitToScreen(phenotype.image, screen.current).scale / 2;
      const zoomed = zoomAt(
        current.start,
        distance(first, second) / Math.max(1, current.distance),
        current.centre,
        minimum,
      );
      setViewport({
        ...zoomed,
        x: zoomed.x + centre[0] - current.centre[0],
        y: zoomed.y + centre[1] - current.centre[1],
      });
    } else if (current?.kind === "handle") {
      const to = inside(toImage(viewport.current, at));
      setMoved({ root: current.root, points: moveHandle(current.line, current.handles, current.handle, to) });
    } else if (current?.kind === "pan") {
      if (!current.hasMoved && distance(at, current.from) < CLICK_PX) return;
      current.hasMoved = true;
      setViewport({
        ...current.start,
        x: current.start.x + at[0] - current.from[0],
        y: current.start.y + at[1] - current.from[1],
      });
    }
  };

  const onPointerUp = (event: PointerEvent<HTMLDivElement>) => {
    const at = positionOf(event, event.currentTarget);
    pointers.current.delete(event.pointerId);
    const current = gesture.current;
    gesture.current = null;
    if (current?.kind === "handle") {
      if (moved !== null) props.onPoints(moved.root, moved.points, current.handles[current.handle] ?? null);
      setMoved(null);
    } else if (current?.kind === "pan" && !current.hasMoved && event.type === "pointerup") click(at);
  };

  const click = (at: XY) => {
    if (isDrawing) {
      const point = inside(toImage(viewport.current, at));
      const last = draft.at(-1);
      if (last === undefined || distance(last, point) * viewport.current.scale > CLICK_PX)
        setDraft([...draft, point]);
      return;
    }
    const flag = layers.flags ? hitFlag(phenotype, viewport.current, at) : null;
    if (flag !== null) {
      props.onFlag(flag);
      return;
    }
    const found = layers.roots ? hitRoot(plants, viewport.current, at) : null;
    if (found !== null && found.root === selection.root) return;
    props.onSelect(found === null ? { plant: null, root: null, point: null } : { ...found, point: null });
  };

  const onDoubleClick = (event: React.MouseEvent<HTMLDivElement>) => {
    if (isDrawing) {
      finishDrawing();
      return;
    }
    const at = positionOf(event, event.currentTarget);
    const root = selectedRoot({ plants, selection });
    if (root === null || hitHandle(root, viewport.current, at) !== null) return;
    const found = hitRoot(plants, viewport.current, at);
    if (found?.root !== root.id) return;
    const inserted = insertPoint(root.points, toImage(viewport.current, at));
    if (inserted !== null) props.onPoints(root.id, inserted.line, inserted.index);
  };

  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (isDrawing) {
      if (event.key === "Enter") finishDrawing();
      else if (event.key === "Escape") props.onCancelDrawing();
      else if (event.key === "Backspace") setDraft(draft.slice(0, -1));
      else return;
    } else if (step !== undefined) {
      const [dx, dy] = step as XY;
      const root = selectedRoot({ plants, selection });
      if (root !== null && selection.point !== null) {
        const handles = handlesOf(root.points);
        const [x, y] = root.points[selection.point] as XY;
        const size = event.shiftKey ? 10 : 1;
        const to = inside([x + dx * size, y + dy * size]);
        props.onPoints(
          root.id,
          moveHandle(root.points, handles, handles.indexOf(selection.point), to),
          selection.point,
        );
      } else {
        const { x, y } = viewport.current;
        setViewport({ ...viewport.current, x: x - dx * PAN_STEP_PX, y: y - dy * PAN_STEP_PX });
      }
    } else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") setViewport(fitToScreen(phenotype.image, screen.current));
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={container}
      className={`viewer ${isDrawing ? "drawing" : ""}`}
      role="application"
      aria-label={strings.viewer.label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the region is operated by the keyboard
      tabIndex={0}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={onPointerUp}
      onPointerCancel={onPointerUp}
      onDoubleClick={onDoubleClick}
      onKeyDown={onKeyDown}
    >
      {url !== null && layers.photograph && (
        <img
          ref={image}
          src={url}
          alt=""
          draggable={false}
          className="photograph"
          width={phenotype.image.width}
          height={phenotype.image.height}
          onLoad={() => setDecoded(true)}
          onError={() => setDecoded(false)}
        />
      )}
      <canvas ref={canvas} />
      {!isDecoded && <p className="viewer-note">{strings.viewer.noPreview}</p>}
    </div>
  );
}

function useObjectUrl(file: File): string | null {
  const [url, setUrl] = useState<string | null>(null);
  useEffect(() => {
    const created = URL.createObjectURL(file);
    setUrl(created);
    return () => void setTimeout(() => URL.revokeObjectURL(created), 10_000); // it may still load
  }, [file]);
  return url;
}
