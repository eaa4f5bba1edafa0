/** Rollouts as the page shows them: versions, steps, and the age of what the server knows. */
import type { ModelInfo, ReleaseStatus, Rollouts, VersionCounts } from "../api/types";

/** Age of the last report of the controller above which it is shown as stopped. A mounted report is up to a minute old. */
const STOPPED_AFTER_S = 120;

export type Role = "stable" | "canary" | "shadow" | "loaded";
export type StepState = "done" | "current" | "next";
export type ControllerState = "reporting" | "stopped" | "silent" | "hidden";

export interface VersionRow {
  version: string;
  roles: readonly Role[];
  state: string | null;
  trafficPercent: number;
  digest: string | null;
  counts: VersionCounts | null;
}

/** Return the versions of a release: stable first, then the canary, then the others. */
export function versionRows(status: ReleaseStatus, info: ModelInfo | undefined): VersionRow[] {
  const served = new Map(info?.versions.map((version) => [version.version, version]));
  const order = [status.stable, status.canary, status.shadow, ...status.loaded_versions];
  const versions = [...new Set(order.filter((version) => version !== null))];
  return versions.map((version) => {
    const roles: Role[] = [];
    if (version === status.stable) roles.push("stable");
    if (version === status.canary) roles.push("canary");
    if (version === status.shadow) roles.push("shadow");
    const found = served.get(version);
    return {
      version,
      roles: roles.length > 0 ? roles : ["loaded"],
      state: found?.state ?? null,
      trafficPercent:
        version === status.stable
          ? 100 - status.weight_percent
          : version === status.canary
            ? status.weight_percent
            : 0,
      digest: found?.digest ?? null,
      counts:
        version === status.stable
          ? status.stable_counts
          : version === status.canary
            ? status.canary_counts
            : null,
    };
  });
}

/** Return the steps of a rollout. A weight between two steps, which a person has set, is no step. */
export function stepStates(status: ReleaseStatus): { percent: number; state: StepState }[] {
  return status.steps.map((percent) => ({
    percent,
    state: percent === status.weight_percent ? "current" : percent < status.weight_percent ? "done" : "next",
  }));
}

/** Return the seconds from a time to the response, by the clock of the server. */
export function ageS(since: string, rollouts: Rollouts): number {
  return Math.max(0, (Date.parse(rollouts.read_at) - Date.parse(since)) / 1000);
}

export function controllerState(rollouts: Rollouts): ControllerState {
  if (rollouts.controller_source === "none") return "hidden";
  if (rollouts.last_checkpoint_at === null) return "silent";
  return ageS(rollouts.last_checkpoint_at, rollouts) > STOPPED_AFTER_S ? "stopped" : "reporting";
}

/** Return a duration in seconds, minutes, or hours and minutes. */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Return a time (ISO 8601) as YYYY-MM-DD HH:MM:SS in UTC. */
export function formatTime(iso: string): string {
  return new Date(iso).toISOString().slice(0, 19).replace("T", " ");
}
