// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import axe from "axe-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { App } from "../src/App";
import { ApiClient, ApiError } from "../src/api/client";
import type { Phenotype, SeriesRequest, SeriesResult } from "../src/api/types";
import { toSvgText } from "../src/charts/saveSvg";
import { DAYS, measured, PLATE, result, SCALE, timed, track } from "./sampleSeries";

beforeEach(() => {
  HTMLCanvasElement.prototype.getContext = () => null;
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

type Respond = (request: SeriesRequest) => SeriesResult;

/** Open the series view with these photographs, and answer requests of series with a function. */
async function open(found: readonly (Phenotype | ApiError)[], respond: Respond) {
  const client = new ApiClient();
  const names = found.map((each, index) =>
    each instanceof ApiError ? `failed_${index}.png` : (each.image.name ?? ""),
  );
  vi.spyOn(client, "measure").mockImplementation(async (file) => {
    const each = found[names.indexOf(file.name)];
    if (each === undefined || each instanceof ApiError) throw each;
    return each;
  });
  const requests: SeriesRequest[] = [];
  vi.spyOn(client, "json").mockImplementation(async (_path, init) => {
    const request = JSON.parse(String(init?.body)) as SeriesRequest;
    requests.push(request);
    return respond(request) as never;
  });
  const { container } = render(<App client={client} />);
  fireEvent.click(screen.getByRole("button", { name: "Series" }));
  const files = names.map((name) => new File(["image"], name, { type: "image/png" }));
  fireEvent.change(await screen.findByTestId("files", {}, { timeout: 5000 }), { target: { files } });
  return { client, container, requests };
}

const chart = () => screen.findByRole("img", { name: /Growth curves/ }, { timeout: 5000 });
const slider = () => screen.getByRole<HTMLInputElement>("slider");

function marks(svg: HTMLElement, trait: string, plant: number): Element[] {
  return [...svg.querySelectorAll(`[data-trait="${trait}"] g[data-track="${plant}"] circle`)];
}

describe("the series of a plate", () => {
  it("draws a curve for each plant, hollow where a value is doubtful, and the reason in words", async () => {
    const { container } = await open(DAYS, () => result(PLATE));
    const svg = await chart();
    const hollow = (plant: number) =>
      marks(svg, "primary_root_length", plant).map((mark) => mark.classList.contains("doubtful"));
    expect([1, 2, 3].map(hollow)).toEqual([
      [false, false, true], // wrong scale
      [false, true], // appears late
      [false, true], // exchanged, and then lost
    ]);
    expect(svg.querySelectorAll('[data-trait="total_root_length"] circle.doubtful')).toHaveLength(7);
    expect(marks(svg, "primary_root_length", 3)[1]?.textContent).toBe(
      "Plant 3, 30 h: 11.00 mm (10.50 – 12.00), perhaps exchanged with another plant",
    );
    const rows = screen.getAllByRole("row").filter((row) => row.querySelector(".plant-button") !== null);
    expect(rows.map((row) => row.querySelector(".remarks")?.textContent)).toEqual([
      "scale is contradicted",
      "appears latescale is contradicted",
      "lostperhaps exchanged with another plant",
    ]);
    expect(rows[0]?.textContent).toContain("4.504.10 – 4.90");
    const problems = await axe.run(container, { rules: { "color-contrast": { enabled: false } } });
    expect(problems.violations.map(({ id }) => id)).toEqual([]);
  });

  it("shows each photograph with its hours, time and source at the slider", async () => {
    const { container } = await open(DAYS, () => result(PLATE));
    await chart();
    const shown = () => container.querySelector(".time-text")?.textContent;
    expect(shown()).toMatch(/^0 h 2023-08-01 10:30 \+02:00, from the file name 1\/3/);
    fireEvent.change(slider(), { target: { value: "1" } });
    expect(shown()).toMatch(/^30 h 2023-08-02 10:30 \+02:00, from EXIF 2\/3/);
    expect(slider().getAttribute("aria-valuetext")).toBe("2 of 3: 30 h, 2023-08-02 10:30 +02:00");
    expect(screen.queryByText(SCALE.message)).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Later photograph" }));
    expect(shown()).toMatch(/^48 h 2023-08-03 \(date only\)/);
    expect(screen.getByText(new RegExp(SCALE.message))).toBeTruthy();
    expect(screen.getByRole("button", { name: "Later photograph" })).toHaveProperty("disabled", true);
    expect(container.querySelector('[data-length="3"]')?.textContent).toContain("not on this photograph");
  });

  it("links curves, plants and slider in both directions", async () => {
    await open(DAYS, () => result(PLATE));
    const svg = await chart();
    const dimmed = () => svg.querySelectorAll('g[data-track][opacity="0.35"]').length;
    const plant = (name: string) => screen.getByRole("button", { name });
    expect(dimmed()).toBe(0);
    fireEvent.click(marks(svg, "lateral_root_count", 2)[1] as Element);
    expect(slider().value).toBe("2");
    expect(plant("2").getAttribute("aria-pressed")).toBe("true");
    expect(dimmed()).toBe(6);
    expect(screen.getByRole("region", { name: "Plant 2" }).textContent).toContain(
      "not on the first photograph",
    );
    fireEvent.click(
      svg.querySelectorAll('[data-trait="primary_root_length"] rect[data-photograph="1"]')[0] as Element,
    );
    expect(slider().value).toBe("1");
    expect(plant("2").getAttribute("aria-pressed")).toBe("true");
    fireEvent.change(slider(), { target: { value: "0" } });
    fireEvent.click(screen.getByRole("button", { name: "perhaps exchanged with another plant" }));
    expect(slider().value).toBe("1");
    fireEvent.click(plant("2"));
    expect(dimmed()).toBe(0);
  });

  it("has all values in a table", async () => {
    await open(DAYS, () => result(PLATE));
    await chart();
    const table = screen.getByRole("table", { name: "Values of plate p7", hidden: true });
    const rows = within(table).getAllByRole("row", { hidden: true }).slice(1);
    expect(rows.map((row) => [...row.children].slice(0, 2).map((cell) => cell.textContent))).toEqual([
      ["1", "0"],
      ["1", "30"],
      ["1", "48"],
      ["2", "30"],
      ["2", "48"],
      ["3", "0"],
      ["3", "30"],
    ]);
    expect(rows[6]?.textContent).toContain("11.00 mm10.50 – 12.00perhaps exchanged with another plant");
  });

  it("follows two photographs, and says what is missing for one", async () => {
    const two = DAYS.slice(0, 2);
    const plate = {
      ...PLATE,
      photographs: two.map((found, index) => timed(index, found)),
      tracks: [track(1, [1, 1])],
    };
    await open(two, () => result(plate));
    await chart();
    expect(slider().max).toBe("1");
    fireEvent.click(screen.getByRole("checkbox", { name: "Use p7_2023-08-02.png" }));
    await screen.findByText(/at least two measured photographs/);
    expect(screen.queryByRole("slider")).toBeNull();
  });
});

describe("failures", () => {
  it("belong to the photograph that was not measured, and the others are followed", async () => {
    const { requests } = await open(
      [DAYS[0], new ApiError("the file is truncated", 415, null, "Damaged image"), DAYS[2]],
      () =>
        result({ ...PLATE, photographs: [timed(0, DAYS[0]), timed(1, DAYS[2])], tracks: [track(1, [1, 1])] }),
    );
    await chart();
    const item = (name: string) => screen.getByLabelText(`Use ${name}`).closest("li")?.textContent;
    expect(item("failed_1.png")).toContain("the file is truncated");
    expect(item("p7_2023-08-01.png")).not.toContain("truncated");
    expect(requests.at(-1)?.photographs).toHaveLength(2);
  });

  it("belong to the photograph without a time, until a time is entered", async () => {
    const unnamed = { ...DAYS[1], image: { ...DAYS[1].image, name: "IMG_7.png" } };
    const { container, requests } = await open([DAYS[0], unnamed, DAYS[2]], ({ photographs }) => {
      const missing = photographs.filter(({ name, time }) => name === "IMG_7.png" && time === null);
      if (missing.length > 0)
        throw new ApiError(`1 of ${photographs.length} photographs have no time (IMG_7.png)`, 422);
      const found = photographs.length === 2 ? [DAYS[0], DAYS[2]] : [DAYS[0], unnamed, DAYS[2]];
      const tracks = [
        track(
          1,
          found.map(() => 1),
        ),
      ];
      return result({ ...PLATE, photographs: found.map((each, index) => timed(index, each)), tracks });
    });
    await chart();
    expect(slider().max).toBe("1");
    expect(container.querySelector(".series-photographs .error-text")?.textContent).toBe(
      "Left out: 1 of 1 photographs have no time (IMG_7.png)",
    );
    const alone = requests.filter(({ photographs }) => photographs.length === 1);
    expect(alone.map(({ photographs }) => photographs[0]?.phenotype.plants)).toEqual([[], [], []]);
    const field = screen.getByLabelText("Time of IMG_7.png");
    expect(field.getAttribute("aria-invalid")).toBe("true");
    fireEvent.change(field, { target: { value: "2023-08-02T10:30" } });
    await waitFor(() => expect(slider().max).toBe("2"));
    expect(container.querySelector(".series-photographs .error-text")).toBeNull();
    const times = requests.at(-1)?.photographs.map(({ name, time }) => [name, time]);
    expect(times).toContainEqual(["IMG_7.png", "2023-08-02T10:30"]);
  });

  it("of all photographs together are shown once", async () => {
    let isRefused = true;
    const { requests } = await open(DAYS, ({ photographs }) => {
      if (isRefused && photographs.length > 1)
        throw new ApiError("each has another plate", 422, null, "Invalid parameter");
      return result(PLATE);
    });
    expect((await screen.findByRole("alert", {}, { timeout: 5000 })).textContent).toBe(
      "The plants cannot be followed. Invalid parameter. each has another plate",
    );
    expect(requests.map(({ photographs }) => photographs.length)).toEqual([3, 1, 1, 1]);
    isRefused = false;
    fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    await chart();
    fireEvent.click(screen.getByText("Times and plates"));
    expect(screen.getByLabelText("All photographs show the same plate")).toBeTruthy();
  });
});

describe("downloads", () => {
  it("are the table of the server for the same request, and the curves without marks of the page", async () => {
    const { client, requests } = await open(DAYS, () => result(PLATE));
    const svg = await chart();
    const blob = vi.spyOn(client, "blob").mockResolvedValue(new Blob(["plate"]));
    HTMLAnchorElement.prototype.click = () => undefined;
    fireEvent.click(screen.getByRole("button", { name: "Values (CSV)" }));
    fireEvent.click(screen.getByRole("button", { name: "Growth rates (CSV)" }));
    expect(blob.mock.calls.map(([path, accept]) => [path, accept])).toEqual([
      ["v1/series", "text/csv"],
      ["v1/series?rows=growth", "text/csv"],
    ]);
    expect(JSON.parse(String(blob.mock.calls[0]?.[2]?.body))).toEqual(requests.at(-1));
    const text = toSvgText(svg as unknown as SVGSVGElement);
    const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
    expect(parsed.querySelector("parsererror")).toBeNull();
    expect(text).not.toMatch(/currentColor|class=|style=|chart-hit|transparent/);
    expect(text).toContain('stroke="#1f74ad"');
    const radii = [...parsed.querySelectorAll("circle")].map((point) => point.getAttribute("r"));
    expect(new Set(radii)).toEqual(new Set(["3.2"])); // the shown photograph is no part of the file
    expect(parsed.documentElement.getAttribute("width")).toBe("408");
    expect(svg.querySelector(".chart-hit")).not.toBeNull(); // the page keeps its own
  });

  it("of a failed request are explained", async () => {
    const { client } = await open(DAYS, () => result(PLATE));
    await chart();
    vi.spyOn(client, "blob").mockRejectedValue(new ApiError("too many requests", 429));
    fireEvent.click(screen.getByRole("button", { name: "Values (CSV)" }));
    await screen.findByText(/The download failed: too many requests/);
  });
});

describe("several plates", () => {
  it("are shown one at a time, and a photograph opens its own", async () => {
    const other = measured(4, [7]);
    const { container } = await open([...DAYS, other], () =>
      result({ ...PLATE, plate: "p8", photographs: [timed(0, other)], tracks: [track(1, [1])] }, PLATE),
    );
    await chart();
    const select = () => screen.getByLabelText<HTMLSelectElement>("Shown plate");
    expect(select().value).toBe("p8");
    expect(slider().max).toBe("0");
    const times = [...container.querySelectorAll<HTMLElement>(".series-photographs button.link.hint")];
    fireEvent.click(times.find((each) => each.textContent?.includes("EXIF")) as HTMLElement);
    expect(select().value).toBe("p7");
    expect(slider().value).toBe("1");
  });
});
