import { useCallback, useReducer, useRef, useState } from "react";
import type { ApiClient, MeasureOptions } from "./api/client";
import { DropZone } from "./components/DropZone";
import { OptionsForm } from "./components/OptionsForm";
import { QueueList } from "./components/QueueList";
import { TraitPanel } from "./components/TraitPanel";
import type { Selection } from "./model/files";
import { currentPhenotype, photographsReducer } from "./model/photographs";
import { strings } from "./strings";
import { useMeasurements } from "./useMeasurements";

const DEFAULTS: MeasureOptions = { mmPerPx: null, plateWidthMm: null, expectedPlants: null, rotate: 0 };

export function App({ client }: { client: ApiClient }) {
  const [photographs, dispatch] = useReducer(photographsReducer, []);
  const [options, setOptions] = useState(DEFAULTS);
  const [selectedId, setSelectedId] = useState<number | null>(null);
  const [plant, setPlant] = useState<number | null>(null);
  const optionsById = useRef(new Map<number, MeasureOptions>());
  const optionsOf = useCallback((id: number) => optionsById.current.get(id) ?? DEFAULTS, []);
  useMeasurements(client, photographs, optionsOf, dispatch, () => undefined);
  const add = ({ images }: Selection) => {
    const next = photographs.reduce((max, photograph) => Math.max(max, photograph.id), 0) + 1;
    images.forEach((_, index) => {
      optionsById.current.set(next + index, options);
    });
    dispatch({ kind: "add", files: images });
    if (selectedId === null && images.length > 0) setSelectedId(next);
  };
  const selected = photographs.find((photograph) => photograph.id === selectedId);
  const phenotype = selected === undefined ? null : currentPhenotype(selected);
  return (
    <div className="app">
      <header className="bar">
        <h1>{strings.appName}</h1>
        <span className="tagline">{strings.tagline}</span>
      </header>
      <main className="workspace">
        <aside className="side">
          <DropZone onSelect={add} />
          <OptionsForm options={options} onChange={setOptions} />
          <QueueList
            photographs={photographs}
            selectedId={selectedId}
            onSelect={setSelectedId}
            onRetry={(id) => dispatch({ kind: "status", id, status: { kind: "waiting" } })}
            onRemove={(id) => dispatch({ kind: "remove", id })}
          />
        </aside>
        <section className="panel">
          {phenotype !== null && selected?.measured && (
            <TraitPanel
              phenotype={phenotype}
              measured={selected.measured}
              selectedPlant={plant}
              onSelectPlant={setPlant}
              onShowFlag={() => undefined}
            />
          )}
        </section>
      </main>
    </div>
  );
}
