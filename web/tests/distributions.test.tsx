// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import axe from "axe-core";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Experiment } from "../src/api/types";
import { toSvgText } from "../src/charts/saveSvg";
import { DistributionsPanel } from "../src/plots/DistributionsPanel";
import { type SampleRow, samplePlantTable } from "./samplePlantTable";

const EXPERIMENT = { id: "e", name: "Salt <1> & 2", images: 3, measured: 3 } as Experiment;
const ROWS: SampleRow[] = [
  ["a.png", "a", 1, ["col-0", "salt"], [31, "ok"], null],
  ["a.png", "a", 2, ["col-0", "salt"], [35, "uncertain"], null],
  ["b.png", "b", 1, ["ler", "none"], [12, "ok"], null],
  ["c.png", "c", 1, ["ler", "none"], null, [280, "ok"]],
];

afterEach(cleanup);

async function show(rows: readonly SampleRow[], experiment = EXPERIMENT): Promise<HTMLElement> {
  const readTable = vi.fn(() => Promise.resolve(new Blob([samplePlantTable(rows)])));
  const { container } = render(
    <DistributionsPanel experiment={experiment} readTable={readTable} describeFailure={String} />,
  );
  expect(readTable).not.toHaveBeenCalled();
  fireEvent.click(screen.getByRole("button", { name: "Show distributions" }));
  await vi.waitFor(() => expect(screen.queryByText("Loading…")).toBeNull());
  return container;
}

const groups = (container: HTMLElement) =>
  [...container.querySelectorAll("[data-group]")].map((box) => box.getAttribute("data-group"));

describe("distributions", () => {
  it("shows a box for each level of the first factor, with single and hollow points", async () => {
    const container = await show(ROWS);
    expect(groups(container)).toEqual(["col-0", "ler"]);
    expect(container.querySelectorAll("circle")).toHaveLength(3);
    expect(container.querySelectorAll("circle.doubtful")).toHaveLength(1);
    expect(screen.getByText("Primary root length (mm)", { selector: "text" })).toBeTruthy();
    expect(
      screen.getByText(/3 plants on 2 plates, measured by plate-seg@1.0.0, plate-landmarks/),
    ).toBeTruthy();
    expect(
      (await axe.run(container, { rules: { "color-contrast": { enabled: false } } })).violations,
    ).toEqual([]);
  });

  it("never shows millimetres and pixels together", async () => {
    const container = await show(ROWS);
    fireEvent.change(screen.getByLabelText("Trait"), { target: { value: "1" } });
    expect(groups(container)).toEqual(["ler"]);
    expect(screen.getByText("Primary root length (px)", { selector: "text" })).toBeTruthy();
    expect(container.querySelectorAll("circle")).toHaveLength(1);
  });

  it("leaves out doubtful values, and takes one value per plate", async () => {
    const container = await show(ROWS);
    fireEvent.click(screen.getByLabelText("Only values that are ok"));
    expect(container.querySelectorAll("circle")).toHaveLength(2);
    expect(screen.getByText(/are left out/)).toBeTruthy();
    fireEvent.click(screen.getByLabelText("Only values that are ok"));
    fireEvent.click(screen.getByLabelText(/One value per plate/));
    expect(container.querySelector("circle title")?.textContent).toBe("a: 33.00 mm, doubtful");
    expect(screen.getByText(/medians of 2 plates/)).toBeTruthy();
  });

  it("divides groups by a second factor that differs from the first", async () => {
    const container = await show([...ROWS, ["d.png", "d", 1, ["ler", "salt"], [20, "ok"], null]]);
    fireEvent.change(screen.getByLabelText("Divide by"), { target: { value: "1" } });
    expect(groups(container)).toEqual(["col-0", "ler", "ler"]);
    fireEvent.change(screen.getByLabelText("Group by"), { target: { value: "1" } });
    expect(groups(container)).toEqual(["none", "salt"]);
    fireEvent.change(screen.getByLabelText("Group by"), { target: { value: "" } });
    expect(groups(container)).toEqual([""]);
    expect((screen.getByLabelText("Divide by") as HTMLSelectElement).disabled).toBe(true);
  });

  it("says why it shows no figure", async () => {
    await show([["e.png", "e", null, ["ler", "salt"], null, null]]);
    expect(screen.getByText("No plant is measured yet.")).toBeTruthy();
    cleanup();
    await show(ROWS);
    fireEvent.change(screen.getByLabelText("Trait"), { target: { value: "3" } });
    expect(screen.getByText(/No plant has a value/)).toBeTruthy();
    cleanup();
    const many = Array.from({ length: 1000 }, (_, index): SampleRow => {
      return [`${index}.png`, `${index}`, 1, [`line ${index}`, ""], [index, "ok"], null];
    });
    const container = await show(many);
    expect(screen.getByText(/1000 groups, and a figure shows up to 60/)).toBeTruthy();
    expect(container.querySelector("svg")).toBeNull();
  });

  it("shows the reason if the table cannot be read", async () => {
    render(
      <DistributionsPanel
        experiment={EXPERIMENT}
        readTable={() => Promise.reject(new Error("The server is gone"))}
        describeFailure={(reason) => (reason as Error).message}
      />,
    );
    fireEvent.click(screen.getByRole("button", { name: "Show distributions" }));
    expect((await screen.findByRole("alert")).textContent).toBe("The server is gone");
  });

  it("has the numbers as a table", async () => {
    const container = await show(ROWS);
    const cells = [...container.querySelectorAll("tbody tr")].map((row) =>
      [...row.querySelectorAll("th, td")].map((cell) => cell.textContent),
    );
    expect(cells[0]).toEqual(["col-0", "2", "1", "1", "31.00", "32.00", "33.00", "34.00", "35.00"]);
    expect(cells[1]).toEqual(["ler", "1", "1", "0", "12.00", "12.00", "12.00", "12.00", "12.00"]);
  });

  it("is saved as a file of its own, without styles and scripts of the page", async () => {
    const container = await show(ROWS);
    const text = toSvgText(container.querySelector("svg.boxplot") as SVGSVGElement);
    const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
    expect(parsed.querySelector("parsererror")).toBeNull();
    expect(text).not.toMatch(/class=|style=|currentColor/);
    expect(parsed.documentElement.getAttribute("width")).toBe("720");
    expect(text).toContain("Salt &lt;1&gt; &amp; 2: 3 plants");
  });
});
