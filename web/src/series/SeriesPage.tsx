import { lazy, type ReactNode, Suspense, useState } from "react";
import type { ApiClient } from "../api/client";
import { LoadBoundary } from "../components/LoadBoundary";
import type { Photograph } from "../model/photographs";
import { strings } from "../strings";
import { type Choices, DEFAULT_CHOICES } from "./choices";

/** The choices of the user, and the function that replaces them. They outlive the view. */
export type ChoicesState = readonly [Choices, (choices: Choices) => void];

export function useSeriesChoices(): ChoicesState {
  return useState(DEFAULT_CHOICES);
}

export interface SeriesProps {
  client: ApiClient;
  photographs: readonly Photograph[];
  choices: ChoicesState;
  notice: string | null;
  onRetry: (id: number) => void;
  onUnauthorised: () => void;
  /** Fields to add photographs. */
  children: ReactNode;
}

/** The series view, which is loaded when it is opened for the first time. */
export function SeriesPage(props: SeriesProps) {
  // a new one each time, because React keeps the failure of the first
  const [SeriesView] = useState(() => lazy(() => import("./SeriesView")));
  return (
    <LoadBoundary
      fallback={
        <main className="page">
          <p role="alert" className="error-text">
            {strings.series.loadFailed}
          </p>
        </main>
      }
    >
      <Suspense
        fallback={
          <main className="page">
            <p className="hint">{strings.series.loading}</p>
          </main>
        }
      >
        <SeriesView {...props} />
      </Suspense>
    </LoadBoundary>
  );
}
