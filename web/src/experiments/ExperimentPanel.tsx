import { useCallback, useEffect, useRef, useState } from "react";
import { type ApiClient, ApiError, type MeasureOptions } from "../api/client";
import type { Experiment, ExperimentImage } from "../api/types";
import { DropZone } from "../components/DropZone";
import { OptionsForm } from "../components/OptionsForm";
import { save } from "../downloads";
import { JobPanel } from "../jobs/JobPanel";
import type { Selection } from "../model/files";
import { DistributionsPanel } from "../plots/DistributionsPanel";
import { strings } from "../strings";
import { describeError } from "../useMeasurements";
import { DesignEditor } from "./DesignEditor";
import { ImageTable } from "./ImageTable";
import { type OpenedImage, openImage } from "./openImage";
import { downloadTable, getExperiment, listImages, type TableType } from "./requests";
import { UploadList } from "./UploadList";
import { useUploads } from "./useUploads";

const DEFAULTS: MeasureOptions = { mmPerPx: null, plateWidthMm: null, expectedPlants: null, rotate: 0 };
const XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/** Receiver of files that are dropped on the window. */
export type DropTarget = (selection: Selection) => void;

/** One experiment: its photographs, design table and results. */
export function ExperimentPanel({
  client,
  id,
  onClose,
  onDropTarget,
  onOpenImage,
  onUnauthorised,
}: {
  client: ApiClient;
  id: string;
  onClose: () => void;
  onOpenImage: (image: OpenedImage) => void;
  onDropTarget: (target: DropTarget | null) => void;
  onUnauthorised: () => void;
}) {
  const [experiment, setExperiment] = useState<Experiment | null>(null);
  const [images, setImages] = useState<readonly ExperimentImage[]>([]);
  const [cursor, setCursor] = useState<string | null>(null);
  const [changes, setChanges] = useState(0);
  const [options, setOptions] = useState(DEFAULTS);
  const [notice, setNotice] = useState<string | null>(null);
  const countChange = useCallback(() => setChanges((count) => count + 1), []);
  const { uploads, dispatch } = useUploads(client, id, countChange, onUnauthorised);
  const fail = (reason: unknown) => {
    setNotice(describeError(reason).message);
    if (reason instanceof ApiError && reason.status === 401) onUnauthorised();
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: read again after each change
  useEffect(() => {
    const { signal, abort } = abortable();
    Promise.all([getExperiment(client, id, signal), listImages(client, id, null, signal)]).then(
      ([found, page]) => {
        setExperiment(found);
        setImages(page.items);
        setCursor(page.next_cursor);
      },
      (reason: unknown) => {
        if (!signal.aborted) fail(reason);
      },
    );
    return abort;
  }, [client, id, changes]);

  const isAdding = uploads.some(({ status }) => status.kind !== "added" && status.kind !== "failed");
  useEffect(() => {
    if (!isAdding) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [isAdding]);

  const add = ({ images: files, ignored }: Selection) => {
    if (files.length > 0) dispatch({ kind: "add", files, options });
    setNotice(files.length === 0 ? strings.drop.none : ignored > 0 ? strings.drop.ignored(ignored) : null);
  };
  const latestAdd = useRef(add);
  latestAdd.current = add;
  useEffect(() => {
    onDropTarget((selection) => latestAdd.current(selection));
    return () => onDropTarget(null);
  }, [onDropTarget]);
  const showMore = () =>
    listImages(client, id, cursor, new AbortController().signal).then((page) => {
      setImages((known) => [...known, ...page.items]);
      setCursor(page.next_cursor);
    }, fail);
  const download = (type: TableType, suffix: string) =>
    downloadTable(client, id, type).then((blob) => save(blob, `${experiment?.name ?? id}${suffix}`), fail);

  return (
    <main className="page experiment">
      <div className="row">
        <button type="button" onClick={onClose} disabled={isAdding}>
          {strings.experiments.back}
        </button>
        <h2>{experiment?.name ?? strings.models.loading}</h2>
      </div>
      {isAdding && <p className="hint">{strings.experiments.stay}</p>}
      {experiment !== null && experiment.description !== "" && <p>{experiment.description}</p>}
      {experiment !== null && (
        <p className="hint" role="status">
          {strings.experiments.counts(experiment.images, experiment.measured)}
        </p>
      )}
      {notice !== null && (
        <p className="notice" role="alert">
          {notice}
        </p>
      )}
      <div className="experiment-columns">
        <section aria-label={strings.experiments.addTitle}>
          <DropZone onSelect={add} />
          <OptionsForm options={options} onChange={setOptions} />
          <UploadList
            uploads={uploads}
            onRetry={(upload) => dispatch({ kind: "status", id: upload, status: { kind: "waiting" } })}
            onClear={() => dispatch({ kind: "clear" })}
          />
        </section>
        <DesignEditor
          client={client}
          experiment={id}
          images={experiment?.images ?? 0}
          onSaved={countChange}
        />
      </div>
      <ImageTable
        images={images}
        onOpen={(image) => void openImage(client, id, image).then(onOpenImage, fail)}
        onMore={cursor === null ? null : () => void showMore()}
      />
      {experiment !== null && experiment.images > 0 && (
        <JobPanel
          client={client}
          experiment={experiment}
          options={options}
          onEnded={countChange}
          onUnauthorised={onUnauthorised}
        />
      )}
      {experiment !== null && experiment.measured > 0 && (
        <DistributionsPanel
          experiment={experiment}
          readTable={() => downloadTable(client, id, "text/csv")}
          describeFailure={(reason) => describeError(reason).message}
        />
      )}
      {images.length > 0 && (
        <div className="row">
          <button type="button" onClick={() => void download("text/csv", ".csv")}>
            {strings.experiments.csv}
          </button>
          <button type="button" onClick={() => void download(XLSX, ".xlsx")}>
            {strings.experiments.xlsx}
          </button>
        </div>
      )}
    </main>
  );
}

function abortable(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}
