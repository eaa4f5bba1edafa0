import type { SeriesPhotograph } from "../api/types";
import type { Photograph } from "../model/photographs";
import { strings } from "../strings";
import { type Choices, choiceOf, withChoice } from "./choices";
import { describeTime } from "./times";

export interface PhotographListProps {
  photographs: readonly Photograph[];
  choices: Choices;
  /** Photographs of the result by the id in the queue. */
  timed: ReadonlyMap<number, SeriesPhotograph>;
  /** Why a photograph is left out, by its id. */
  failures: ReadonlyMap<number, string>;
  onChoices: (choices: Choices) => void;
  onRetry: (id: number) => void;
  onShow: (id: number) => void;
}

/** The photographs that can be in the series, each with its time and its own failure. */
export function PhotographList(props: PhotographListProps) {
  if (props.photographs.length === 0) return <p className="hint">{strings.series.noPhotographs}</p>;
  return (
    <section aria-label={strings.series.photographs}>
      <h2>{strings.series.photographs}</h2>
      <ul className="series-photographs">
        {props.photographs.map((photograph) => (
          <Item key={photograph.id} {...props} photograph={photograph} />
        ))}
      </ul>
    </section>
  );
}

function Item({
  photograph,
  choices,
  timed,
  failures,
  onChoices,
  onRetry,
  onShow,
}: PhotographListProps & { photograph: Photograph }) {
  const { id, name, status } = photograph;
  const { isIncluded, time } = choiceOf(choices, id);
  const shown = timed.get(id);
  const failure = isIncluded ? failures.get(id) : undefined;
  const isOpen = isIncluded && (time !== null || failure !== undefined);
  return (
    <li>
      <label className="check">
        <input
          type="checkbox"
          aria-label={strings.series.include(name)}
          checked={isIncluded}
          onChange={(event) => onChoices(withChoice(choices, id, { isIncluded: event.target.checked }))}
        />
        <span className="queue-name">{name}</span>
      </label>
      {status.kind === "failed" && (
        <p className="error-text">
          {status.title} {status.message}{" "}
          <button type="button" className="link" onClick={() => onRetry(id)}>
            {strings.queue.retry}
          </button>
        </p>
      )}
      {status.kind !== "failed" && status.kind !== "measured" && (
        <p className="hint">{strings.series.notMeasured}</p>
      )}
      {shown !== undefined && isIncluded && (
        <button type="button" className="link hint" onClick={() => onShow(id)}>
          {describeTime(shown)}
        </button>
      )}
      {failure !== undefined && (
        <p className="error-text">
          {strings.series.leftOut} {failure}
        </p>
      )}
      {isOpen ? (
        <input
          type="datetime-local"
          aria-label={strings.series.timeOf(name)}
          aria-invalid={failure !== undefined}
          value={time ?? ""}
          onChange={(event) => onChoices(withChoice(choices, id, { time: event.target.value }))}
        />
      ) : (
        isIncluded &&
        status.kind === "measured" && (
          <button
            type="button"
            className="link hint enter-time"
            onClick={() => onChoices(withChoice(choices, id, { time: "" }))}
          >
            {strings.series.enterTime}
            <span className="visually-hidden"> ({name})</span>
          </button>
        )
      )}
    </li>
  );
}

/** How times and plates are read from names. */
export function SeriesSettings({
  choices,
  onChoices,
}: {
  choices: Choices;
  onChoices: (choices: Choices) => void;
}) {
  const text = strings.series;
  const zones = [...new Set([Intl.DateTimeFormat().resolvedOptions().timeZone, "UTC"])];
  return (
    <details className="options">
      <summary>{text.settings}</summary>
      <label className="check">
        <input
          type="checkbox"
          aria-describedby="one-plate-help"
          checked={choices.isOnePlate}
          onChange={(event) => onChoices({ ...choices, isOnePlate: event.target.checked })}
        />
        {text.onePlate}
      </label>
      <p className="hint" id="one-plate-help">
        {text.onePlateHelp}
      </p>
      <div className="field">
        <label htmlFor="time-zone">{text.timeZone}</label>
        <input
          id="time-zone"
          list="time-zones"
          autoComplete="off"
          aria-describedby="time-zone-help"
          value={choices.timeZone}
          onChange={(event) => onChoices({ ...choices, timeZone: event.target.value })}
        />
        <datalist id="time-zones">
          {zones.map((zone) => (
            <option key={zone} value={zone} />
          ))}
        </datalist>
        <p className="hint" id="time-zone-help">
          {text.timeZoneHelp}
        </p>
      </div>
      <div className="field">
        <label htmlFor="time-of-day">{text.timeOfDay}</label>
        <input
          id="time-of-day"
          type="time"
          aria-describedby="time-of-day-help"
          value={choices.timeOfDay}
          onChange={(event) => onChoices({ ...choices, timeOfDay: event.target.value })}
        />
        <p className="hint" id="time-of-day-help">
          {text.timeOfDayHelp}
        </p>
      </div>
    </details>
  );
}
