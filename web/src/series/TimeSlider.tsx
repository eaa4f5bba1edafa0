import type { PlateSeries } from "../api/types";
import { strings } from "../strings";
import { hoursOf } from "./curves";
import { formatHours } from "./pointWords";
import { describeTime, formatTime } from "./times";

/** The photographs of a plate in the order of time. */
export function TimeSlider({
  plate,
  photograph,
  onPhotograph,
}: {
  plate: PlateSeries;
  photograph: number;
  onPhotograph: (photograph: number) => void;
}) {
  const shown = plate.photographs[photograph];
  const last = plate.photographs.length - 1;
  if (shown === undefined) return null;
  const hours = formatHours(hoursOf(plate, photograph));
  return (
    <div className="time-slider">
      <button
        type="button"
        aria-label={strings.series.previous}
        disabled={photograph === 0}
        onClick={() => onPhotograph(photograph - 1)}
      >
        ‹
      </button>
      <input
        type="range"
        min={0}
        max={last}
        step={1}
        value={photograph}
        aria-label={strings.series.slider}
        aria-valuetext={strings.series.position(photograph + 1, last + 1, hours, formatTime(shown))}
        onChange={(event) => onPhotograph(Number(event.target.value))}
      />
      <button
        type="button"
        aria-label={strings.series.next}
        disabled={photograph === last}
        onClick={() => onPhotograph(photograph + 1)}
      >
        ›
      </button>
      <p className="time-text">
        <strong>{strings.series.hours(hours)}</strong> {describeTime(shown)}{" "}
        <span className="hint">
          {photograph + 1}/{last + 1} · {shown.image}
        </span>
      </p>
    </div>
  );
}
