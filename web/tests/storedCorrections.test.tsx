// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import axe from "axe-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiClient, ApiError } from "../src/api/client";
import { StoredCorrections } from "../src/components/StoredCorrections";
import { commit, resumeHistory, startHistory } from "../src/model/history";
import { hasUnsavedCorrections, type Photograph, photographsReducer } from "../src/model/photographs";
import { phenotype, seedling } from "./support";

const PLANTS = startHistory(phenotype([seedling(1)])).present;
const PATH = "v1/measurements/m-1/corrections";
const correction = (id: number, created_by: string, reason: string) => ({
  id,
  measurement_id: "m-1",
  created_at: "2026-11-30T08:15:00Z",
  created_by,
  reason,
  plants: PLANTS,
});

afterEach(cleanup);

async function start(first: unknown[], ...later: unknown[]) {
  const client = new ApiClient();
  const json = vi.spyOn(client, "json").mockResolvedValueOnce({ items: first });
  for (const answer of later)
    if (answer instanceof Error) json.mockRejectedValueOnce(answer);
    else json.mockResolvedValueOnce(answer as never);
  const onSaved = vi.fn();
  const { container } = render(
    <StoredCorrections client={client} measurement="m-1" plants={PLANTS} isSaved={false} onSaved={onSaved} />,
  );
  fireEvent.change(screen.getByLabelText("Reason"), { target: { value: " lower tip " } });
  const button = screen.getByRole<HTMLButtonElement>("button", { name: "Save correction" });
  await waitFor(() => expect(button.disabled).toBe(false));
  return { json, onSaved, container, button };
}

const posts = (json: { mock: { calls: unknown[][] } }) =>
  json.mock.calls.filter(([, init]) => (init as RequestInit | undefined)?.method === "POST");

describe("StoredCorrections", () => {
  it("posts the roots with a reason, and lists who corrected, when and why", async () => {
    const old = correction(1, "ada", "swapped");
    const { json, onSaved, container, button } = await start(
      [old],
      { items: [old] },
      correction(2, "ben", "lower tip"),
    );
    fireEvent.click(button);
    await waitFor(() => expect(onSaved).toHaveBeenCalledWith(PLANTS));
    const [[path, init]] = posts(json) as [[string, RequestInit]];
    expect(path).toBe(PATH);
    expect(JSON.parse(String(init.body))).toEqual({ reason: "lower tip", plants: PLANTS });
    expect([...container.querySelectorAll("li")].map((item) => item.textContent)).toEqual([
      "2026-11-30 08:15 UTC, ada: swapped",
      "2026-11-30 08:15 UTC, ben: lower tip",
    ]);
    expect(
      (await axe.run(container, { rules: { "color-contrast": { enabled: false } } })).violations,
    ).toEqual([]);
  });

  it("does not save over a correction of another person unseen", async () => {
    const other = correction(1, "ada", "swapped");
    const { json, onSaved, button } = await start(
      [],
      { items: [other] },
      { items: [other] },
      correction(2, "ben", "x"),
    );
    fireEvent.click(button);
    expect((await screen.findByRole("alert")).textContent).toContain("ada has stored a correction");
    expect(posts(json)).toEqual([]);
    expect(onSaved).not.toHaveBeenCalled();
    fireEvent.click(button);
    await waitFor(() => expect(onSaved).toHaveBeenCalledOnce());
  });

  it("says why a correction is not saved, and keeps the reason", async () => {
    const { onSaved, button } = await start([], { items: [] }, new ApiError("it was deleted", 404));
    fireEvent.click(button);
    expect((await screen.findByRole("alert")).textContent).toContain("it was deleted");
    expect(screen.getByLabelText<HTMLInputElement>("Reason").value).toBe(" lower tip ");
    expect(onSaved).not.toHaveBeenCalled();
  });
});

it("warns of corrections until they are saved, and again after the next change", () => {
  const measured = phenotype([seedling(1), seedling(2, 200)]);
  const history = resumeHistory(measured, PLANTS);
  expect(history.origin).toHaveLength(2);
  expect(history.past).toEqual([history.origin]);
  const file = new File([], "a.png");
  let photographs = photographsReducer([], {
    kind: "open",
    file,
    phenotype: measured,
    history,
    measurementId: "m-1",
  });
  const only = () => photographs[0] as Photograph;
  expect(hasUnsavedCorrections(only())).toBe(false);
  const change = () => {
    const present = commit(only().history ?? history, [...(only().history?.present ?? [])]);
    photographs = photographsReducer(photographs, { kind: "history", id: 1, history: present });
  };
  change();
  expect(hasUnsavedCorrections(only())).toBe(true);
  photographs = photographsReducer(photographs, {
    kind: "saved",
    id: 1,
    plants: only().history?.present ?? [],
  });
  expect(hasUnsavedCorrections(only())).toBe(false);
  change();
  expect(hasUnsavedCorrections(only())).toBe(true);
});
