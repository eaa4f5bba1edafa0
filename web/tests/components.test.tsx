// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import axe from "axe-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { App } from "../src/App";
import { ApiClient, ApiError } from "../src/api/client";
import { phenotype, seedling, trait } from "./support";

const FLAGGED = phenotype([
  {
    ...seedling(1),
    flags: [{ code: "crossing", message: "<b>crossing</b> at 110,160", at: { x: 110, y: 160 } }],
  },
  { ...seedling(2, 200), traits: [trait("primary_root_length", null)] },
]);

beforeEach(() => {
  HTMLCanvasElement.prototype.getContext = () => null;
  HTMLDialogElement.prototype.showModal = function showModal() {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function close() {
    this.open = false;
  };
  vi.stubGlobal(
    "ResizeObserver",
    class {
      observe() {}
      disconnect() {}
    },
  );
  URL.createObjectURL = () => "blob:photograph";
  URL.revokeObjectURL = () => undefined;
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

function start(client: ApiClient): HTMLElement {
  const { container } = render(<App client={client} />);
  return container;
}

function select(...names: string[]): void {
  const files = names.map((name) => new File(["image"], name, { type: "image/png" }));
  fireEvent.change(screen.getByTestId("files"), { target: { files } });
}

async function axeProblems(container: HTMLElement): Promise<string[]> {
  // jsdom has no layout: contrast is checked in the browser
  const result = await axe.run(container, { rules: { "color-contrast": { enabled: false } } });
  return result.violations.map((violation) => violation.id);
}

describe("App", () => {
  it("measures files and shows plants, traits and flags as text", async () => {
    const client = new ApiClient();
    vi.spyOn(client, "measure").mockResolvedValue(FLAGGED);
    const container = start(client);
    select("plate_2.png", "plate_1.png");
    await waitFor(() => screen.getByText("2 of 2 measured"));
    fireEvent.click(screen.getByRole("button", { name: "1" }));
    expect(screen.getByText("Traits of plant 1")).toBeTruthy();
    expect(container.querySelector('[data-trait="primary_root_length"]')?.textContent).toBe("20.00 mm");
    expect(screen.getByText(/<b>crossing<\/b> at 110,160/)).toBeTruthy();
    expect(container.querySelector("b")).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "2" }));
    expect(container.querySelector('[data-trait="primary_root_length"]')?.textContent).toBe("–");
    expect(await axeProblems(container)).toEqual([]);
  });

  it("shows a failure in words and measures again", async () => {
    const client = new ApiClient();
    const measure = vi
      .spyOn(client, "measure")
      .mockRejectedValueOnce(new ApiError("this looks like text", 415, null, "Not a readable image"))
      .mockResolvedValue(FLAGGED);
    start(client);
    select("a.png");
    await waitFor(() => expect(screen.getAllByText(/this looks like text/).length).toBeGreaterThan(0));
    fireEvent.click(screen.getByRole("button", { name: "Measure again" }));
    await waitFor(() => screen.getByText("1 of 1 measured"));
    expect(measure).toHaveBeenCalledTimes(2);
  });

  it("waits and retries while the server is busy", async () => {
    const client = new ApiClient();
    const measure = vi
      .spyOn(client, "measure")
      .mockRejectedValueOnce(new ApiError("queue is full", 503, 0.01))
      .mockResolvedValue(FLAGGED);
    start(client);
    select("a.png");
    await waitFor(() => screen.getByText("1 of 1 measured"));
    expect(measure).toHaveBeenCalledTimes(2);
  });

  it("asks for a key after 401, and keeps it in no storage", async () => {
    const client = new ApiClient();
    vi.spyOn(client, "measure")
      .mockRejectedValueOnce(new ApiError("no credential", 401))
      .mockResolvedValue(FLAGGED);
    start(client);
    select("a.png");
    await waitFor(() => screen.getByText("This server requires a credential."));
    fireEvent.change(screen.getByLabelText("API key"), { target: { value: "thale_secret" } });
    fireEvent.click(screen.getByRole("button", { name: "Use this key" }));
    await waitFor(() => screen.getByText("1 of 1 measured"));
    expect(client.isSignedIn).toBe(true);
    expect([localStorage.length, sessionStorage.length, document.cookie]).toEqual([0, 0, ""]);
  });

  it("sends a correction, and shows the value before it", async () => {
    const client = new ApiClient();
    vi.spyOn(client, "measure").mockResolvedValue(FLAGGED);
    const corrected = phenotype([
      { ...seedling(1), traits: [trait("primary_root_length", 22)] },
      seedling(2, 200),
    ]);
    const compute = vi.spyOn(client, "computeTraits").mockResolvedValue(corrected);
    const container = start(client);
    select("a.png");
    await waitFor(() => screen.getByText("1 of 1 measured"));
    fireEvent.keyDown(window, { key: "n" });
    fireEvent.keyDown(screen.getByRole("application"), { key: "]" });
    fireEvent.keyDown(screen.getByRole("application"), { key: "ArrowDown" });
    await waitFor(() =>
      expect(container.querySelector('[data-trait="primary_root_length"]')?.textContent).toBe(
        "22.00 mmwas 20.00",
      ),
    );
    expect(compute.mock.calls[0]?.[1][0]?.roots[0]?.points[0]).toEqual([100, 51]);
    expect(compute.mock.calls[0]?.[0]).toBe(FLAGGED);
    fireEvent.keyDown(window, { key: "z", ctrlKey: true });
    await waitFor(() =>
      expect(container.querySelector('[data-trait="primary_root_length"]')?.textContent).toBe("20.00 mm"),
    );
  });

  it("reviews the least certain photograph first, and counts what is left", async () => {
    const certain = phenotype([seedling(1)]);
    const client = new ApiClient();
    vi.spyOn(client, "measure").mockImplementation((file) =>
      Promise.resolve(file.name === "b.png" ? FLAGGED : certain),
    );
    const compute = vi.spyOn(client, "computeTraits").mockResolvedValue(certain);
    const container = start(client);
    select("a.png", "b.png");
    await waitFor(() => screen.getByText("2 of 2 measured"));
    fireEvent.click(screen.getByRole("button", { name: /^Review/ }));
    expect(screen.getByText("2 photographs left")).toBeTruthy();
    expect(container.querySelector(".queue-name")?.textContent).toBe("b.png");
    fireEvent.keyDown(window, { key: "a" });
    await waitFor(() => screen.getByText("1 photograph left"));
    await waitFor(() => expect(compute).toHaveBeenCalled());
    expect(compute.mock.calls[0]?.[1].every((plant) => plant.checked)).toBe(true);
    fireEvent.keyDown(window, { key: "a" });
    await waitFor(() => screen.getByText("Everything is reviewed."));
  });
});

describe("ApiClient", () => {
  it("sends the key as a header, and no cookie", async () => {
    const fetched = vi.fn().mockResolvedValue(new Response("[]", { status: 200 }));
    vi.stubGlobal("fetch", fetched);
    const client = new ApiClient();
    client.signIn("thale_key");
    await client.listModels(new AbortController().signal);
    const [path, init] = fetched.mock.calls[0] as [string, RequestInit];
    expect(path).toBe("v1/models");
    expect(init.credentials).toBe("omit");
    expect((init.headers as Record<string, string>)["Authorization"]).toBe("Bearer thale_key");
  });

  it("turns a problem into an error in words", async () => {
    const problem = {
      type: "/problems/rate-limited",
      title: "The limit is reached",
      status: 429,
      detail: "Wait.",
    };
    vi.stubGlobal(
      "fetch",
      vi
        .fn()
        .mockResolvedValue(
          new Response(JSON.stringify(problem), { status: 429, headers: { "Retry-After": "7" } }),
        ),
    );
    await expect(new ApiClient().listModels(new AbortController().signal)).rejects.toMatchObject({
      message: "Wait.",
      title: "The limit is reached",
      status: 429,
      retryAfterS: 7,
    });
  });
});
