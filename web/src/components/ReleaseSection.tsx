import { useId } from "react";
import type { ModelInfo, ReleaseEvent, ReleaseStatus, Rollouts, Verdict } from "../api/types";
import { ageS, formatDuration, formatTime, stepStates, versionRows } from "../model/rollouts";
import { strings } from "../strings";

const text = strings.models;
const DECISION_CLASS = {
  promote: "ok",
  hold: "uncertain",
  inconclusive: "uncertain",
  "roll back": "failed",
} as const;

/** One model: its versions, the progress of its rollout, the verdict, and the latest changes. */
export function ReleaseSection({
  status,
  rollouts,
  info,
}: {
  status: ReleaseStatus;
  rollouts: Rollouts;
  info: ModelInfo | undefined;
}) {
  const id = useId();
  return (
    <section className="release" aria-labelledby={id}>
      <h3 id={id}>
        {status.model} {info !== undefined && <span className="hint">{info.task}</span>}
      </h3>
      <VersionTable status={status} info={info} />
      {status.canary !== null && <Progress status={status} rollouts={rollouts} />}
      {status.verdict !== null && <VerdictPanel verdict={status.verdict} />}
      {status.canary !== null && status.verdict === null && <p className="hint">{text.noVerdict}</p>}
      <History events={rollouts.history[status.model] ?? []} />
    </section>
  );
}

function VersionTable({ status, info }: { status: ReleaseStatus; info: ModelInfo | undefined }) {
  const count = (value: number | undefined) => value ?? strings.table.unknown;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by the keyboard
    <section className="table-scroll" tabIndex={0} aria-label={text.versionsOf(status.model)}>
      <table className="models">
        <thead>
          <tr>
            <th scope="col">{text.version}</th>
            <th scope="col">{text.role}</th>
            <th scope="col">{text.state}</th>
            {[text.traffic, text.requests, text.errors, text.fallbacks].map((title) => (
              <th scope="col" className="number" key={title}>
                {title}
              </th>
            ))}
            <th scope="col">{text.digest}</th>
          </tr>
        </thead>
        <tbody>
          {versionRows(status, info).map((row) => (
            <tr key={row.version}>
              <th scope="row">{row.version}</th>
              <td>{row.roles.map((role) => text.roles[role]).join(", ")}</td>
              <td>
                {row.state === null ? (
                  strings.table.unknown
                ) : (
                  <span className={`quality ${row.state === "ready" ? "ok" : "uncertain"}`}>{row.state}</span>
                )}
              </td>
              <td className="number">{row.trafficPercent} %</td>
              <td className="number">{count(row.counts?.requests)}</td>
              <td className="number">{count(row.counts?.errors)}</td>
              <td className="number">{count(row.counts?.fallbacks)}</td>
              <td>
                {row.digest !== null && (
                  <code title={row.digest}>{row.digest.replace("sha256:", "").slice(0, 16)}</code>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Progress({ status, rollouts }: { status: ReleaseStatus; rollouts: Rollouts }) {
  return (
    <div className="rollout">
      <p>
        {text.rollout(status.canary ?? "", status.weight_percent)}{" "}
        {status.step_started_at !== null && (
          <span className="hint">
            {text.since(
              formatTime(status.step_started_at),
              formatDuration(ageS(status.step_started_at, rollouts)),
            )}
          </span>
        )}
      </p>
      <ol className="steps" aria-label={text.steps}>
        {stepStates(status).map(({ percent, state }) => (
          <li key={percent} className={state} aria-current={state === "current" ? "step" : undefined}>
            {percent} % <span className="visually-hidden">{text.stepStates[state]}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

function VerdictPanel({ verdict }: { verdict: Verdict }) {
  return (
    <div className="verdict">
      <p>
        {text.verdict}{" "}
        <span className={`quality ${DECISION_CLASS[verdict.decision]}`}>{verdict.decision}</span>{" "}
        <span className="hint">{text.decisions[verdict.decision]}</span>
      </p>
      <ul>
        {verdict.reasons.map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
      {verdict.check_results.length > 0 && (
        <details>
          <summary>{text.checks(verdict.check_results.length)}</summary>
          <dl>
            {verdict.check_results.map(({ check, summary }) => (
              <div key={check}>
                <dt>
                  <code>{check}</code>
                </dt>
                <dd>{summary}</dd>
              </div>
            ))}
          </dl>
        </details>
      )}
    </div>
  );
}

function History({ events }: { events: readonly ReleaseEvent[] }) {
  if (events.length === 0) return <p className="hint">{text.noHistory}</p>;
  return (
    <details>
      <summary>{text.history(events.length)}</summary>
      <ol className="history">
        {[...events].reverse().map((event) => (
          <li key={`${event.at} ${event.what} ${event.version}`}>
            <time dateTime={event.at}>{formatTime(event.at)}</time>{" "}
            {text.change(event.what, event.version, event.weight_percent, event.stable)}{" "}
            <span className="hint">
              {event.who}: {event.why}
            </span>
          </li>
        ))}
      </ol>
    </details>
  );
}
