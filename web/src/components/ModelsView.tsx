import { useCallback } from "react";
import type { ApiClient } from "../api/client";
import type { Rollouts } from "../api/types";
import { ageS, controllerState, formatDuration } from "../model/rollouts";
import { strings } from "../strings";
import { usePolling } from "../usePolling";
import { ReleaseSection } from "./ReleaseSection";
import "../rollouts.css";

const POLL_INTERVAL_MS = 5000;

/** Released models, their versions and rollouts, read-only. It polls while the tab is visible. */
export function ModelsView({ client }: { client: ApiClient }) {
  const read = useCallback(
    async (signal: AbortSignal) => {
      const [rollouts, models] = await Promise.all([client.listRollouts(signal), client.listModels(signal)]);
      return { rollouts, models };
    },
    [client],
  );
  const { value, error } = usePolling(read, POLL_INTERVAL_MS);
  return (
    <main className="page">
      <h2>{strings.models.title}</h2>
      {error !== null && (
        <p role="alert" className="error-text">
          {value === null ? error : strings.models.outdated(error)}
        </p>
      )}
      {value === null && error === null && <p className="hint">{strings.models.loading}</p>}
      {value?.rollouts.models.length === 0 && <p>{strings.models.none}</p>}
      {value?.rollouts.models.map((status) => (
        <ReleaseSection
          key={status.model}
          status={status}
          rollouts={value.rollouts}
          info={value.models.find(({ name }) => name === status.model)}
        />
      ))}
      {value !== null && <Sources rollouts={value.rollouts} />}
    </main>
  );
}

/** Sources of the data on this page, and how old they are. */
function Sources({ rollouts }: { rollouts: Rollouts }) {
  const text = strings.models.sources;
  const age =
    rollouts.last_checkpoint_at === null ? "" : formatDuration(ageS(rollouts.last_checkpoint_at, rollouts));
  const unreachable = Object.entries(rollouts.unreachable_facades);
  return (
    <section className="sources" aria-labelledby="sources">
      <h3 id="sources">{text.title}</h3>
      <p>{text.release[rollouts.release_source]}</p>
      <p>{text.controller[controllerState(rollouts)](rollouts.leader ?? "", age)}</p>
      {unreachable.length > 0 && (
        <ul className="error-text">
          {unreachable.map(([facade, reason]) => (
            <li key={facade}>{text.unreachable(facade, reason)}</li>
          ))}
        </ul>
      )}
    </section>
  );
}
