import { type FormEvent, useEffect, useId, useState } from "react";
import { type ApiClient, ApiError } from "../api/client";
import type { Experiment } from "../api/types";
import { strings } from "../strings";
import { describeError } from "../useMeasurements";
import { type DropTarget, ExperimentPanel } from "./ExperimentPanel";
import type { OpenedImage } from "./openImage";
import { createExperiment, listExperiments } from "./requests";
import "./experiments.css";

export type { DropTarget } from "./ExperimentPanel";

/** Experiments of the server: list, create and open. */
export function ExperimentsView({
  client,
  notice,
  onDropTarget,
  onOpenImage,
  onUnauthorised,
}: {
  client: ApiClient;
  notice: string | null;
  onOpenImage: (image: OpenedImage) => void;
  /** Set the receiver of files that are dropped on the window; null while no experiment is open. */
  onDropTarget: (target: DropTarget | null) => void;
  onUnauthorised: () => void;
}) {
  const [openId, setOpenId] = useState<string | null>(null);
  if (openId !== null)
    return (
      <ExperimentPanel
        key={openId}
        client={client}
        id={openId}
        onClose={() => setOpenId(null)}
        onDropTarget={onDropTarget}
        onOpenImage={onOpenImage}
        onUnauthorised={onUnauthorised}
      />
    );
  return (
    <ExperimentList client={client} notice={notice} onOpen={setOpenId} onUnauthorised={onUnauthorised} />
  );
}

function ExperimentList({
  client,
  notice,
  onOpen,
  onUnauthorised,
}: {
  client: ApiClient;
  notice: string | null;
  onOpen: (id: string) => void;
  onUnauthorised: () => void;
}) {
  const [experiments, setExperiments] = useState<readonly Experiment[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [error, setError] = useState<string | null>(null);
  const fail = (reason: unknown) => {
    setError(describeError(reason).message);
    if (reason instanceof ApiError && reason.status === 401) onUnauthorised();
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: read once
  useEffect(() => {
    const controller = new AbortController();
    listExperiments(client, null, controller.signal).then(
      (page) => {
        setExperiments(page.items);
        setCursor(page.next_cursor);
      },
      (reason: unknown) => {
        if (!controller.signal.aborted) fail(reason);
      },
    );
    return () => controller.abort();
  }, [client]);

  const showMore = () =>
    listExperiments(client, cursor, new AbortController().signal).then((page) => {
      setExperiments((known) => [...(known ?? []), ...page.items]);
      setCursor(page.next_cursor);
    }, fail);

  return (
    <main className="page experiment">
      <h2>{strings.experiments.title}</h2>
      <p className="hint">{strings.experiments.intro}</p>
      {notice !== null && (
        <p className="notice" role="status">
          {notice}
        </p>
      )}
      {error !== null && (
        <p className="error-text" role="alert">
          {error}
        </p>
      )}
      <CreateForm
        onCreate={(name, description) =>
          createExperiment(client, name, description).then(({ id }) => onOpen(id), fail)
        }
      />
      {experiments === null && error === null && <p className="hint">{strings.models.loading}</p>}
      {experiments?.length === 0 && <p>{strings.experiments.none}</p>}
      {experiments !== null && experiments.length > 0 && (
        <ExperimentTable experiments={experiments} onOpen={onOpen} />
      )}
      {cursor !== null && (
        <button type="button" onClick={() => void showMore()}>
          {strings.experiments.showMore}
        </button>
      )}
    </main>
  );
}

function CreateForm({ onCreate }: { onCreate: (name: string, description: string) => void }) {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const id = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() !== "") onCreate(name.trim(), description.trim());
  };
  return (
    <form className="create" onSubmit={submit}>
      <div className="field">
        <label htmlFor={`${id}-name`}>{strings.experiments.name}</label>
        <input
          id={`${id}-name`}
          value={name}
          maxLength={200}
          required
          onChange={(event) => setName(event.target.value)}
        />
      </div>
      <div className="field">
        <label htmlFor={`${id}-description`}>{strings.experiments.description}</label>
        <input
          id={`${id}-description`}
          value={description}
          maxLength={10_000}
          onChange={(event) => setDescription(event.target.value)}
        />
      </div>
      <button type="submit" className="primary" disabled={name.trim() === ""}>
        {strings.experiments.create}
      </button>
    </form>
  );
}

function ExperimentTable({
  experiments,
  onOpen,
}: {
  experiments: readonly Experiment[];
  onOpen: (id: string) => void;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls needs the keyboard
    <section className="table-scroll" tabIndex={0} aria-label={strings.experiments.title}>
      <table>
        <thead>
          <tr>
            <th scope="col">{strings.experiments.name}</th>
            <th scope="col" className="number">
              {strings.experiments.images}
            </th>
            <th scope="col" className="number">
              {strings.experiments.measuredCount}
            </th>
            <th scope="col">{strings.experiments.factors}</th>
            <th scope="col">{strings.experiments.createdAt}</th>
          </tr>
        </thead>
        <tbody>
          {experiments.map((experiment) => (
            <tr key={experiment.id}>
              <th scope="row">
                <button type="button" className="link" onClick={() => onOpen(experiment.id)}>
                  {experiment.name}
                </button>
              </th>
              <td className="number">{experiment.images}</td>
              <td className="number">{experiment.measured}</td>
              <td>
                {experiment.design_columns
                  .filter((column) => !["image", "plate", "plant"].includes(column))
                  .join(", ")}
              </td>
              <td>{experiment.created_at.slice(0, 16).replace("T", " ")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
