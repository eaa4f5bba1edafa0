// @vitest-environment jsdom
import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiClient, ApiError } from "../src/api/client";
import type { ModelInfo } from "../src/api/types";
import { ModelsView } from "../src/components/ModelsView";
import { ageS, controllerState, formatDuration, stepStates, versionRows } from "../src/model/rollouts";
import { CANARY, CHANGE, CANARY_ROLLOUTS as ROLLOUTS } from "./sampleRollouts";

describe("rollouts", () => {
  it("lists each version once, stable before canary, with its own counts", () => {
    const info = {
      name: "plate-seg",
      versions: [{ version: "1.1.0", state: "loading", digest: "sha256:ab" }],
    };
    const rows = versionRows(CANARY, info as unknown as ModelInfo);
    expect(rows.map(({ version, roles, trafficPercent }) => [version, roles[0], trafficPercent])).toEqual([
      ["1.0.0", "stable", 75],
      ["1.1.0", "canary", 25],
      ["1.2.0", "shadow", 0],
      ["0.9.0", "loaded", 0],
    ]);
    expect(rows.map(({ counts }) => counts?.requests ?? null)).toEqual([1542, 81, null, null]);
    expect(rows.map(({ state }) => state)).toEqual([null, "loading", null, null]);
  });

  it("marks no step as current for a weight between two steps", () => {
    expect(stepStates(CANARY).map(({ state }) => state)).toEqual(["done", "current", "next", "next"]);
    expect(stepStates({ ...CANARY, weight_percent: 30 }).map(({ state }) => state)).toEqual([
      "done",
      "done",
      "next",
      "next",
    ]);
  });

  it("takes ages from the clock of the server", () => {
    expect(ageS(CHANGE.at, ROLLOUTS)).toBe(1872);
    expect(formatDuration(ageS(CHANGE.at, ROLLOUTS))).toBe("31 min");
    expect(formatDuration(59.4)).toBe("59 s");
    expect(formatDuration(7260)).toBe("2 h 1 min");
    expect(ageS("2026-11-21T12:40:00+00:00", ROLLOUTS)).toBe(0);
  });

  it.each([
    [{}, "reporting"],
    [{ last_checkpoint_at: "2026-11-21T12:29:08+00:00" }, "stopped"],
    [{ last_checkpoint_at: null, leader: null }, "silent"],
    [{ last_checkpoint_at: null, leader: null, controller_source: "none" as const }, "hidden"],
  ])("knows the controller by its last report: %o", (changes, state) => {
    expect(controllerState({ ...ROLLOUTS, ...changes })).toBe(state);
  });
});

describe("ModelsView", () => {
  let visibility: DocumentVisibilityState;
  const client = new ApiClient();

  beforeEach(() => {
    vi.useFakeTimers();
    visibility = "visible";
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => visibility });
    vi.spyOn(client, "listModels").mockResolvedValue([]);
  });
  afterEach(() => {
    cleanup();
    vi.useRealTimers();
  });
  const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

  it("shows the step, the verdict with its reasons, and the sources", async () => {
    vi.spyOn(client, "listRollouts").mockResolvedValue(ROLLOUTS);
    const { container } = render(<ModelsView client={client} />);
    await pass(0);
    expect(screen.getByText(/serves 25 % of the requests/)).toBeTruthy();
    expect(container.querySelector('[aria-current="step"]')?.textContent).toBe("25 % current step");
    expect(screen.getByText("hold")).toBeTruthy();
    expect(screen.getByText(/61 % of the rollback threshold/)).toBeTruthy();
    expect(screen.getByText(/thale-release-watcher\), 4 s ago/)).toBeTruthy();
    expect(screen.getByText("http://10.0.0.7:9090 is not counted: timeout")).toBeTruthy();
    expect(screen.getByText(/<b>dark<\/b>/)).toBeTruthy();
    expect(screen.getAllByText(/serves .* of the requests/)).toHaveLength(1); // plate-landmarks has no rollout
  });

  it("sends nothing while the tab is hidden, and polls when it is shown", async () => {
    const list = vi.spyOn(client, "listRollouts").mockResolvedValue(ROLLOUTS);
    render(<ModelsView client={client} />);
    await pass(10_100);
    expect(list).toHaveBeenCalledTimes(3);
    visibility = "hidden";
    document.dispatchEvent(new Event("visibilitychange"));
    await pass(600_000);
    expect(list).toHaveBeenCalledTimes(3);
    visibility = "visible";
    document.dispatchEvent(new Event("visibilitychange"));
    await pass(0);
    expect(list).toHaveBeenCalledTimes(4);
  });

  it("keeps the last values after a failure, and waits longer each time", async () => {
    const list = vi.spyOn(client, "listRollouts").mockResolvedValueOnce(ROLLOUTS);
    list.mockRejectedValue(new ApiError("the server drains", 503, 20));
    render(<ModelsView client={client} />);
    await pass(5000);
    expect(screen.getByRole("alert").textContent).toContain("Not updated");
    expect(screen.getByText(/serves 25 %/)).toBeTruthy();
    await pass(19_000);
    expect(list).toHaveBeenCalledTimes(2);
    await pass(1000);
    expect(list).toHaveBeenCalledTimes(3);
    list.mockRejectedValue(new ApiError("", 0));
    await pass(300_000);
    expect(list.mock.calls.length).toBeLessThan(10);
  });

  it("stops polling when it is closed", async () => {
    const list = vi.spyOn(client, "listRollouts").mockResolvedValue(ROLLOUTS);
    const { unmount } = render(<ModelsView client={client} />);
    await pass(0);
    unmount();
    await pass(60_000);
    expect(list).toHaveBeenCalledTimes(1);
  });
});
