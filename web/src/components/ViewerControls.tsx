import type { RefObject } from "react";
import type { Flag } from "../api/types";
import { strings } from "../strings";
import type { Layer, Layers } from "../viewer/scene";
import type { ViewerHandle } from "../viewer/Viewer";

export function LayerToggles({
  layers,
  all,
  onChange,
}: {
  layers: Layers;
  all: readonly Layer[];
  onChange: (layers: Layers) => void;
}) {
  return (
    <fieldset className="layers">
      <legend className="visually-hidden">{strings.viewer.layers}</legend>
      {all.map((layer) => (
        <label key={layer} className="chip">
          <input
            type="checkbox"
            checked={layers[layer]}
            onChange={(event) => onChange({ ...layers, [layer]: event.target.checked })}
          />
          {strings.viewer.layer[layer]}
        </label>
      ))}
    </fieldset>
  );
}

export function ZoomButtons({ viewer }: { viewer: RefObject<ViewerHandle | null> }) {
  return (
    <div className="zoom">
      <button type="button" aria-label={strings.viewer.zoomOut} onClick={() => viewer.current?.zoom(0.8)}>
        −
      </button>
      <button type="button" aria-label={strings.viewer.zoomIn} onClick={() => viewer.current?.zoom(1.25)}>
        +
      </button>
      <button type="button" onClick={() => viewer.current?.fit()}>
        {strings.viewer.fit}
      </button>
    </div>
  );
}

export function FlagNote({ flag, onClose }: { flag: Flag | null; onClose: () => void }) {
  if (flag === null) return null;
  return (
    <div className="flag-note" role="status">
      <span>
        <code>{flag.code}</code> {flag.message}
      </span>
      <button type="button" aria-label={strings.close} onClick={onClose}>
        ×
      </button>
    </div>
  );
}
