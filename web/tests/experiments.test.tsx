// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import axe from "axe-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiClient, ApiError } from "../src/api/client";
import { ExperimentsView } from "../src/experiments/ExperimentsView";
import { uploadsReducer } from "../src/experiments/useUploads";

const SALT = {
  id: "exp-1",
  name: "Salt 1",
  description: "",
  created_at: "2026-11-21T10:00:00Z",
  created_by: "anonymous",
  design_columns: ["plate", "genotype"],
  images: 1,
  measured: 0,
};
const IMAGE = {
  sha256: "ab",
  name: "p1.png",
  plate: "p1",
  added_at: "2026-11-21T10:00:00Z",
  measurement_id: null,
};
const DESIGN = { columns: [], rows: [], unmatched_rows: 0, images_without_row: 0 };

afterEach(cleanup);

function start(answers: Record<string, unknown> = {}) {
  const client = new ApiClient();
  const known: Record<string, unknown> = {
    "GET v1/experiments?limit=100": { items: [SALT], next_cursor: null },
    "GET v1/experiments/exp-1": SALT,
    "GET v1/experiments/exp-1/images?limit=100": { items: [IMAGE], next_cursor: null },
    "GET v1/experiments/exp-1/design": DESIGN,
    "GET v1/jobs?experiment=exp-1&limit=20": { items: [], next_cursor: null },
    ...answers,
  };
  const json = vi.spyOn(client, "json").mockImplementation((path, init) => {
    const answer = known[`${init?.method ?? "GET"} ${path}`];
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as never);
  });
  const upload = vi.spyOn(client, "upload");
  const unauthorised = vi.fn();
  const { container } = render(
    <ExperimentsView
      client={client}
      notice={null}
      onDropTarget={() => {}}
      onOpenImage={() => {}}
      onUnauthorised={unauthorised}
    />,
  );
  return { container, json, upload, unauthorised };
}

async function open(): Promise<void> {
  fireEvent.click(await screen.findByRole("button", { name: "Salt 1" }));
  await screen.findByText("1 photograph, 0 measured");
}

const select = (...names: string[]) =>
  fireEvent.change(screen.getByTestId("files"), {
    target: { files: names.map((name) => new File(["image"], name)) },
  });

describe("ExperimentsView", () => {
  it("creates an experiment and opens it", async () => {
    const { json } = start({ "POST v1/experiments": SALT });
    fireEvent.change(screen.getByLabelText("Name"), { target: { value: " Salt 1 " } });
    fireEvent.click(screen.getByRole("button", { name: "Create an experiment" }));
    await screen.findByText("1 photograph, 0 measured");
    const body = json.mock.calls.find(([, init]) => init?.method === "POST")?.[1]?.body;
    expect(JSON.parse(String(body))).toEqual({ name: "Salt 1", description: "" });
  });

  it("says why an experiment cannot be created", async () => {
    start({ "POST v1/experiments": new ApiError("the name is taken: choose another one", 409) });
    fireEvent.change(screen.getByLabelText("Name"), { target: { value: "Salt 1" } });
    fireEvent.click(screen.getByRole("button", { name: "Create an experiment" }));
    expect((await screen.findByRole("alert")).textContent).toContain("the name is taken");
  });

  it("adds photographs, and says why one of them failed", async () => {
    const { container, upload } = start();
    await open();
    upload
      .mockRejectedValueOnce(new ApiError("this looks like text", 415))
      .mockResolvedValueOnce({ is_new: true });
    select("a.png", "b.png", "notes.txt");
    await screen.findByText("1 of 2 added, 1 failed");
    expect(screen.getByText("1 other file was left out.")).toBeTruthy();
    expect(container.querySelector(".uploads .error-text")?.textContent).toMatch(
      /a\.png.*this looks like text/,
    );
    upload.mockResolvedValueOnce({ is_new: false });
    fireEvent.click(screen.getByRole("button", { name: "Try again a.png" }));
    await screen.findByText("2 of 2 added");
    expect(upload.mock.calls.map(([path]) => path)).toEqual(
      ["a.png", "b.png", "a.png"].map((name) => `v1/experiments/exp-1/images?name=${name}`),
    );
    expect(
      (await axe.run(container, { rules: { "color-contrast": { enabled: false } } })).violations,
    ).toEqual([]);
  });

  it("opens the sign-in after 401", async () => {
    const { unauthorised } = start({ "GET v1/experiments?limit=100": new ApiError("no credential", 401) });
    await waitFor(() => expect(unauthorised).toHaveBeenCalledOnce());
  });

  it("previews a pasted design table, and sends it as CSV", async () => {
    const { json } = start({
      "PUT v1/experiments/exp-1/design": {
        ...DESIGN,
        columns: ["plate", "2"],
        rows: [["p1", 'a"b']],
        unmatched_rows: 1,
      },
    });
    await open();
    const field = screen.getByLabelText("Paste a table from a spreadsheet");
    fireEvent.change(field, { target: { value: "plate\t2\r\n\ta\r\n" } });
    expect((await screen.findByRole("alert")).textContent).toContain("Row 1, column plate");
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Save the design table" }).disabled).toBe(
      true,
    );
    fireEvent.change(field, { target: { value: 'plate\t2\r\np1\ta"b\r\n' } });
    await screen.findByText("Preview: 1 row");
    fireEvent.click(screen.getByRole("button", { name: "Save the design table" }));
    await screen.findByText(/1 row\. Rows without a photograph: 1/);
    const [, init] = json.mock.calls.find(([, sent]) => sent?.method === "PUT") ?? [];
    expect(init?.body).toBe('"plate","2"\r\n"p1","a""b"\r\n');
    expect(init?.headers).toEqual({ "Content-Type": "text/csv" });
  });
});

it("keeps failed uploads when added ones are cleared", () => {
  const options = { mmPerPx: null, plateWidthMm: null, expectedPlants: null, rotate: 0 } as const;
  let uploads = uploadsReducer([], {
    kind: "add",
    files: [new File([], "a.png"), new File([], "b.png")],
    options,
  });
  uploads = uploadsReducer(uploads, { kind: "status", id: 1, status: { kind: "added", isNew: true } });
  uploads = uploadsReducer(uploads, { kind: "status", id: 2, status: { kind: "failed", message: "x" } });
  expect(uploadsReducer(uploads, { kind: "clear" }).map(({ file }) => file.name)).toEqual(["b.png"]);
});
