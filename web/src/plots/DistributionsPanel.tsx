import { lazy, Suspense, useState } from "react";
import { LoadBoundary } from "../components/LoadBoundary";
import { strings } from "../strings";
import type { DistributionsProps } from "./Distributions";

/** The distributions of an experiment. Their script and the table are loaded when they are opened. */
export function DistributionsPanel(props: DistributionsProps) {
  const [isOpen, setOpen] = useState(false);
  // a new one each time, because React keeps the failure of the first
  const [Distributions] = useState(() => lazy(() => import("./Distributions")));
  return (
    <section aria-label={strings.plots.title} className="distributions">
      <div className="row">
        <h3>{strings.plots.title}</h3>
        <button type="button" aria-expanded={isOpen} onClick={() => setOpen((open) => !open)}>
          {isOpen ? strings.plots.hide : strings.plots.show}
        </button>
      </div>
      {isOpen && (
        <LoadBoundary
          fallback={
            <p role="alert" className="error-text">
              {strings.plots.loadFailed}
            </p>
          }
        >
          <Suspense fallback={<p className="hint">{strings.models.loading}</p>}>
            <Distributions {...props} />
          </Suspense>
        </LoadBoundary>
      )}
    </section>
  );
}
