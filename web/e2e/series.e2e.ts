/**
 * The series view in Chromium against a running platform: THALE_URL, THALE_PLATES (photographs of one plate on three days, the
 * last day first), and optionally THALE_SCREENSHOTS (a folder). `services/tests/integration/test_web_series.py` starts it.
 */
import { readFile } from "node:fs/promises";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { accessibilityProblems, launch, settle } from "./support";

const URL_OF_PAGE = process.env["THALE_URL"] ?? "";
const PLATES = (process.env["THALE_PLATES"] ?? "").split(":");
const SCREENSHOTS = process.env["THALE_SCREENSHOTS"];

let browser: Browser;
let page: Page;
const problems: string[] = [];
const hosts = new Set<string>();

beforeAll(async () => {
  browser = await launch();
  page = await browser.newPage({ viewport: { width: 1440, height: 900 } }); // with the Content-Security-Policy
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith("blob:")) hosts.add(new URL(request.url()).origin);
  });
  await page.goto(URL_OF_PAGE);
});
afterAll(async () => {
  await browser?.close();
});

describe("the series of a plate", () => {
  it("is loaded when it is opened, and orders photographs that were dropped", async () => {
    const scripts = () =>
      page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
    expect((await scripts()).filter((name) => name.includes("SeriesView"))).toEqual([]);
    await page.getByRole("button", { name: "Series", exact: true }).click();
    await page.getByText("Drop the photographs of one plate").waitFor();
    expect((await scripts()).some((name) => name.includes("SeriesView"))).toBe(true);
    expect(await accessibilityProblems(page)).toEqual([]);
    await page.setInputFiles('[data-testid="files"]', PLATES);
    await page.locator("svg.curves").waitFor({ timeout: 200_000 });
    expect(await page.locator(".time-text").textContent()).toMatch(
      /^0 h 2023-08-01 10:00, from the file name 1\/3/,
    );
    expect(await page.locator(".series-plants tbody tr").count()).toBeGreaterThanOrEqual(3);
  });

  it("moves through time by the keyboard, with growing roots and the source of each time", async () => {
    const length = async () =>
      Number.parseFloat((await page.locator("[data-length]").first().textContent()) ?? "");
    const lengths = [await length()];
    await page.getByRole("slider").focus();
    await page.keyboard.press("ArrowRight");
    await page.getByText("2023-08-02 10:00, from EXIF").first().waitFor();
    expect(await page.locator(".time-text").textContent()).toMatch(/^24 h/);
    lengths.push(await length());
    await page.keyboard.press("End");
    lengths.push(await length());
    expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
    expect((lengths[2] as number) - (lengths[0] as number)).toBeGreaterThan(3);
    expect(
      await page.locator(".photograph").evaluate((image) => (image as HTMLImageElement).naturalWidth),
    ).toBe(2000);
  });

  it("keeps the zoom from one photograph to the next", async () => {
    const scale = () =>
      page.locator(".photograph").evaluate((image) => new DOMMatrix(getComputedStyle(image).transform).a);
    const fitted = await scale();
    await page.getByRole("button", { name: "Zoom in" }).click();
    await settle(page);
    const zoomed = await scale();
    expect(zoomed).toBeGreaterThan(1.2 * fitted);
    await page.getByRole("button", { name: "Earlier photograph" }).click();
    await settle(page);
    expect(await scale()).toBeCloseTo(zoomed, 5);
    await page.getByRole("button", { name: "Fit" }).click();
  });

  it("links a point of a curve with the photograph and the plant", async () => {
    const mark = page.locator('[data-trait="primary_root_length"] circle[data-photograph="1"]').first();
    const track = await mark.evaluate((point) => point.closest("[data-track]")?.getAttribute("data-track"));
    await mark.dispatchEvent("click"); // other curves may be above it
    expect(await page.getByRole("slider").inputValue()).toBe("1");
    expect(await page.locator('.plant-button[aria-pressed="true"]').textContent()).toBe(track);
    expect(await page.locator(`.series-plants tr[aria-selected="true"]`).count()).toBe(1);
    await page
      .locator('[data-trait="total_root_length"] rect[data-photograph="2"]')
      .click({ position: { x: 5, y: 4 } });
    expect(await page.getByRole("slider").inputValue()).toBe("2");
    await settle(page);
    await screenshot("series");
    expect(await accessibilityProblems(page)).toEqual([]);
  });

  it("has its values as a table, and as files", async () => {
    await page.getByText("Values as a table").click();
    expect(await page.locator(".series-values tbody tr").count()).toBeGreaterThanOrEqual(9);
    expect(await accessibilityProblems(page)).toEqual([]);
    const values = await download("Values (CSV)");
    expect(values.split("\n")[0]).toMatch(/^plate,plant,image,sha256,time,time_source/);
    expect(new Set([...values.matchAll(/,(exif|file_name),/g)].map(([, source]) => source)).size).toBe(2);
    expect(await download("Growth rates (CSV)")).toMatch(/primary_root_length,series,/);
    const svg = await download("Curves (SVG)");
    expect(svg).toMatch(/^<svg[^>]* xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    const drawn = await browser.newPage();
    await drawn.setContent(svg);
    expect(await drawn.locator("circle").count()).toBeGreaterThanOrEqual(27);
    await drawn.close();
  });

  it("shows a photograph without a time as its own failure", async () => {
    const buffer = await readFile(PLATES[0] as string);
    await page.setInputFiles('[data-testid="files"]', { name: "undated.png", mimeType: "image/png", buffer });
    const item = page.locator(".series-photographs li").filter({ hasText: "undated.png" });
    await item.getByText("have no time").waitFor({ timeout: 60_000 });
    expect(await page.getByRole("slider").getAttribute("max")).toBe("2");
    expect(await accessibilityProblems(page)).toEqual([]);
    await page.getByLabel("All photographs show the same plate").evaluate((box) => {
      box.closest("details")?.setAttribute("open", "");
    });
    await page.getByLabel("All photographs show the same plate").check();
    await page.getByLabel("Time of undated.png").fill("2023-08-04T10:00");
    await expect.poll(() => page.getByRole("slider").getAttribute("max"), { timeout: 30_000 }).toBe("3");
    expect(await page.locator(".series-photographs .error-text").count()).toBe(0);
  });

  it("has no violation in the dark, and fits a tablet and a telephone", async () => {
    await page.getByLabel("Colour theme").selectOption("dark");
    expect(await accessibilityProblems(page)).toEqual([]);
    await settle(page);
    await screenshot("series-dark");
    await page.getByLabel("Colour theme").selectOption("light");
    for (const [name, width, height] of [
      ["series-tablet", 1024, 768],
      ["series-phone", 414, 896],
    ] as const) {
      await page.setViewportSize({ width, height });
      await settle(page);
      await screenshot(name);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, name).toBeLessThanOrEqual(0);
    }
  });

  it("sends no request to another host, and breaks no policy", () => {
    expect([...hosts]).toEqual([new URL(URL_OF_PAGE).origin]);
    expect(problems.filter((problem) => !problem.includes("status of 422"))).toEqual([]);
  });
});

async function screenshot(name: string): Promise<void> {
  if (SCREENSHOTS !== undefined) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}

async function download(name: string): Promise<string> {
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name, exact: true }).click(),
  ]);
  return readFile(await file.path(), "utf8");
}
