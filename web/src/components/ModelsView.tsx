import { useEffect, useState } from "react";
import type { ApiClient } from "../api/client";
import type { ModelInfo } from "../api/types";
import { strings } from "../strings";
import { describeError } from "../useMeasurements";

/** Released models and their versions, read-only. */
export function ModelsView({ client }: { client: ApiClient }) {
  const [models, setModels] = useState<readonly ModelInfo[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    let isCurrent = true;
    client.listModels().then(
      (found) => isCurrent && setModels(found),
      (reason: unknown) => isCurrent && setError(describeError(reason).message),
    );
    return () => {
      isCurrent = false;
    };
  }, [client]);
  return (
    <main className="page">
      <h2>{strings.models.title}</h2>
      {error !== null && (
        <p role="alert" className="error-text">
          {error}
        </p>
      )}
      {models === null && error === null && <p className="hint">{strings.models.loading}</p>}
      {models?.length === 0 && <p>{strings.models.none}</p>}
      {models?.map((model) => (
        <div className="table-scroll" key={model.name}>
          <table className="models">
            <caption>
              {model.name} <span className="hint">{model.task}</span>
            </caption>
            <thead>
              <tr>
                <th scope="col">{strings.models.version}</th>
                <th scope="col">{strings.models.role}</th>
                <th scope="col">{strings.models.state}</th>
                <th scope="col" className="number">
                  {strings.models.traffic}
                </th>
                <th scope="col">{strings.models.digest}</th>
              </tr>
            </thead>
            <tbody>
              {model.versions.map((version) => (
                <tr key={version.version}>
                  <th scope="row">{version.version}</th>
                  <td>
                    {version.default
                      ? strings.models.stable
                      : version.canary
                        ? strings.models.canary
                        : strings.models.loaded}
                  </td>
                  <td>
                    <span className={`quality ${version.state === "ready" ? "ok" : "uncertain"}`}>
                      {version.state}
                    </span>
                  </td>
                  <td className="number">{version.traffic_percent} %</td>
                  <td>
                    <code title={version.digest}>{version.digest.replace("sha256:", "").slice(0, 16)}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ))}
    </main>
  );
}
