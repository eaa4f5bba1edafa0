// @vitest-environment jsdom
import { act, cleanup, fireEvent, render, screen } from "@testing-library/react";
import axe from "axe-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiClient, ApiError } from "../src/api/client";
import type { Experiment, Job } from "../src/api/types";
import { JobPanel } from "../src/jobs/JobPanel";

const EXPERIMENT = { id: "exp-1", name: "Salt", images: 5, measured: 3 } as Experiment;
const OPTIONS = { mmPerPx: 0.05, plateWidthMm: null, expectedPlants: 4, rotate: 180 } as const;
const NONE = { queued: 0, running: 0, measured: 0, failed: 0, quarantined: 0, cancelled: 0 };

function job(state: string, progress: Partial<Job["progress"]>, finishedAt: string | null = null): Job {
  return { id: "job-7", state, finished_at: finishedAt, progress: { ...NONE, total: 5, ...progress } } as Job;
}

type Request = { path: string; body: unknown };

/** A server with one job, whose state the tests change. */
class Server {
  job: Job | null = null;
  earlier: Job[] = [];
  failure: Error | null = null;
  failed: Record<string, { sha256: string; name: string; reason: string }[]> = {};
  readonly posts: Request[] = [];

  readonly client = new ApiClient();

  constructor() {
    vi.spyOn(this.client, "json").mockImplementation(async (path, init) => {
      if (this.failure !== null) throw this.failure;
      if (init?.method === "POST") {
        this.posts.push({ path, body: init.body === undefined ? null : JSON.parse(String(init.body)) });
        this.job ??= job("running", { queued: 5 });
        return this.job as never;
      }
      const state = /images\?state=(\w+)/.exec(path)?.[1];
      if (state !== undefined) return { items: this.failed[state] ?? [], next_cursor: null } as never;
      expect(path).toBe("v1/jobs?experiment=exp-1&limit=20");
      const items = this.job === null ? this.earlier : [this.job, ...this.earlier];
      return { items, next_cursor: null } as never;
    });
  }
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

const settle = (ms = 0) => act(() => vi.advanceTimersByTimeAsync(ms));

async function show(server: Server, experiment = EXPERIMENT) {
  const [ended, unauthorised] = [vi.fn(), vi.fn()];
  const { container } = render(
    <JobPanel
      client={server.client}
      experiment={experiment}
      options={OPTIONS}
      onEnded={ended}
      onUnauthorised={unauthorised}
    />,
  );
  await settle();
  return { container, ended, unauthorised };
}

describe("jobs of an experiment", () => {
  it("measures the photographs without a measurement, with the scale of the page", async () => {
    const server = new Server();
    const { ended } = await show(server);
    fireEvent.click(screen.getByRole("button", { name: "Measure 2 photographs" }));
    await settle();
    expect(server.posts).toEqual([
      {
        path: "v1/jobs",
        body: { experiment: "exp-1", remeasure: false, mm_per_px: 0.05, expected_plants: 4, rotate: 180 },
      },
    ]);
    expect(screen.getByText("0 of 5 measured")).toBeTruthy();
    server.job = job("running", { measured: 3, quarantined: 1, queued: 1 });
    await settle(2500);
    expect(screen.getByText("3 of 5 measured, 1 failed")).toBeTruthy();
    expect(screen.getByRole("progressbar").getAttribute("value")).toBe("4");
    expect(ended).not.toHaveBeenCalled();
    server.job = job("finished", { measured: 4, quarantined: 1 }, "2026-11-21T10:05:33Z");
    await settle(2500);
    expect(screen.getByText("Finished 2026-11-21 10:05 UTC: 4 of 5 measured, 1 failed")).toBeTruthy();
    expect(ended).toHaveBeenCalledTimes(1);
  });

  it("finds a running job after a reload of the page, and cancels it", async () => {
    const server = new Server();
    server.job = job("running", { measured: 1, queued: 4 });
    const { ended } = await show(server);
    expect(screen.queryByRole("button", { name: /again/ })).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
    server.job = job("cancelled", { measured: 1, cancelled: 4 }, "2026-11-21T10:05:33Z");
    await settle();
    expect(server.posts).toEqual([{ path: "v1/jobs/job-7/cancel", body: null }]);
    await settle(2500);
    expect(screen.getByText("Cancelled 2026-11-21 10:05 UTC: 1 of 5 measured")).toBeTruthy();
    expect(ended).toHaveBeenCalledTimes(1);
  });

  it("shows the running job before a newer one that has ended", async () => {
    const server = new Server();
    server.job = job("cancelled", { cancelled: 5 }, "2026-11-21T10:05:33Z");
    server.earlier = [job("finished", { measured: 5 }), job("running", { measured: 2, queued: 3 })];
    await show(server);
    expect(screen.getByText("2 of 5 measured")).toBeTruthy();
  });

  it("names failed photographs with their reasons, and tries them again", async () => {
    const server = new Server();
    server.job = job("finished", { measured: 2, failed: 1, quarantined: 2 }, "2026-11-21T10:05:33Z");
    server.failed = {
      failed: [{ sha256: "a", name: "a.png", reason: "the image is damaged" }],
      quarantined: [{ sha256: "b", name: "b.png", reason: "the model did not respond" }],
    };
    const { container, ended } = await show(server);
    await settle();
    const items = [...container.querySelectorAll("li")].map((item) => item.textContent);
    expect(items).toEqual([
      "b.png the model did not respond",
      "a.png the image is damaged",
      "And 1 further photograph.",
    ]);
    vi.useRealTimers();
    expect(
      (await axe.run(container, { rules: { "color-contrast": { enabled: false } } })).violations,
    ).toEqual([]);
    vi.useFakeTimers();
    fireEvent.click(screen.getByRole("button", { name: "Try the failed ones again" }));
    await settle();
    expect(server.posts).toEqual([{ path: "v1/jobs/job-7/retry", body: null }]);
    expect(ended).not.toHaveBeenCalled();
  });

  it("offers only what can be measured", async () => {
    const server = new Server();
    await show(server, { ...EXPERIMENT, images: 1, measured: 1 });
    expect(screen.getAllByRole("button").map((button) => button.textContent)).toEqual(["Measure it again"]);
    fireEvent.click(screen.getByRole("button", { name: "Measure it again" }));
    await settle();
    expect(server.posts[0]?.body).toMatchObject({ remeasure: true });
  });

  it("says why a job was refused, and stays usable", async () => {
    const server = new Server();
    const { unauthorised } = await show(server);
    server.failure = new ApiError("the key has no scope predict", 401);
    fireEvent.click(screen.getByRole("button", { name: "Measure 2 photographs" }));
    await settle();
    expect(screen.getByRole("alert").textContent).toContain("the key has no scope predict");
    expect(unauthorised).toHaveBeenCalledTimes(1);
    server.failure = null;
    fireEvent.click(screen.getByRole("button", { name: "Measure 2 photographs" }));
    await settle();
    expect(screen.queryByRole("alert")).toBeNull();
    expect(server.posts).toHaveLength(1);
  });

  it("keeps the last progress while the server does not respond", async () => {
    const server = new Server();
    server.job = job("running", { measured: 1, queued: 4 });
    await show(server);
    server.failure = new ApiError("", 0);
    await settle(2500);
    expect(screen.getByText("1 of 5 measured")).toBeTruthy();
    expect(screen.getByRole("alert").textContent).toContain("cannot be reached");
    server.failure = null;
    server.job = job("running", { measured: 4, queued: 1 });
    await settle(9000);
    expect(screen.getByText("4 of 5 measured")).toBeTruthy();
    expect(screen.queryByRole("alert")).toBeNull();
  });
});
