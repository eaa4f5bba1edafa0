/** Rollouts for tests: a canary at its second step, and a model without a rollout. */
import type { ReleaseEvent, ReleaseStatus, Rollouts } from "../src/api/types";

export const CHANGE: ReleaseEvent = {
  at: "2026-11-21T12:00:00+00:00",
  who: "anna",
  what: "canary",
  why: "better on <b>dark</b> plates",
  version: "1.1.0",
  stable: "1.0.0",
  weight_percent: 5,
};
export const CANARY: ReleaseStatus = {
  model: "plate-seg",
  stable: "1.0.0",
  canary: "1.1.0",
  weight_percent: 25,
  shadow: "1.2.0",
  steps: [5, 25, 50, 100],
  loaded_versions: ["0.9.0", "1.0.0", "1.1.0", "1.2.0"],
  unused_versions: null,
  last_event: CHANGE,
  step_started_at: CHANGE.at,
  stable_counts: { requests: 1542, errors: 3, fallbacks: 0 },
  canary_counts: { requests: 81, errors: 2, fallbacks: 1 },
  verdict: {
    model: "plate-seg",
    canary: "1.1.0",
    stable: "1.0.0",
    weight_percent: 25,
    decision: "hold",
    reasons: ["possible regression (61 % of the rollback threshold)"],
    check_results: [
      {
        check: "failures",
        summary: "2 of 81 failed",
        regression_evidence: 0.6,
        noninferiority_evidence: null,
      },
    ],
  },
};
const IDLE: ReleaseStatus = {
  ...CANARY,
  model: "plate-landmarks",
  canary: null,
  shadow: null,
  weight_percent: 0,
  loaded_versions: ["1.0.0"],
  last_event: null,
  step_started_at: null,
  stable_counts: null,
  canary_counts: null,
  verdict: null,
};
export const CANARY_ROLLOUTS: Rollouts = {
  models: [IDLE, CANARY],
  leader: "thale-release-watcher",
  last_checkpoint_at: "2026-11-21T12:31:08+00:00",
  unreachable_facades: { "http://10.0.0.7:9090": "timeout" },
  read_at: "2026-11-21T12:31:12+00:00",
  release_source: "cluster",
  controller_source: "checkpoint",
  history: { "plate-seg": [CHANGE], "plate-landmarks": [] },
};
