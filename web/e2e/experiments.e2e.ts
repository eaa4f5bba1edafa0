/**
 * Experiments in Chromium against a running platform, with files and folders that are dropped: the same variables as
 * `page.e2e.ts`.
 */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { type Browser, type CDPSession, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { accessibilityProblems as accessibilityProblemsOf } from "./support";

const URL_OF_PAGE = process.env["THALE_URL"] ?? "";
const PLATES = (process.env["THALE_PLATES"] ?? "").split(":");
const SCREENSHOTS = process.env["THALE_SCREENSHOTS"];
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const NAME = `Drop ${Date.now()}`;

let browser: Browser;
let page: Page;
let session: CDPSession;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "thale-drop-"));
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  page = await browser.newPage({ viewport: { width: 1440, height: 900 }, bypassCSP: true });
  session = await page.context().newCDPSession(page);
  await page.goto(URL_OF_PAGE);
  await page.getByRole("button", { name: "Experiments" }).click();
});

afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true });
});

describe("experiments", () => {
  it("refuses a drop before an experiment is open", async () => {
    await drop([PLATES[0] as string]);
    await page.getByText("Open an experiment first.").waitFor();
  });

  it("creates an experiment", async () => {
    expect(await accessibilityProblems()).toEqual([]);
    await page.getByLabel("Name").fill(NAME);
    await page.getByRole("button", { name: "Create an experiment" }).click();
    await page.getByRole("heading", { name: NAME }).waitFor();
  });

  it("measures a file that is dropped, and says why another one failed", async () => {
    const damaged = join(folder, "damaged.png");
    await writeFile(damaged, "no image");
    await drop([PLATES[0] as string, damaged]);
    await page.getByText("1 of 2 added, 1 failed").waitFor({ timeout: 120_000 });
    expect(await page.locator(".uploads .error-text").textContent()).toMatch(/damaged\.png.*JPEG/);
    await page.getByText("1 photograph, 1 measured").waitFor();
  });

  it("adds the photographs of a folder and its folders, once", async () => {
    const deep = join(folder, "plates", "day 2");
    await mkdir(deep, { recursive: true });
    for (const plate of PLATES) await copyFile(plate, join(deep, basename(plate)));
    await writeFile(join(folder, "plates", "notes.txt"), "watered");
    await drop([join(folder, "plates")]);
    await page.getByText("1 other file was left out.").waitFor();
    await page
      .getByText(`${PLATES.length} photographs, ${PLATES.length} measured`)
      .waitFor({ timeout: 120_000 });
    const names = await page.locator(".images tbody th").allTextContents();
    expect(names.toSorted()).toEqual(PLATES.map((plate) => basename(plate)).toSorted());
    expect(await page.getByText("was in the experiment already").count()).toBe(1);
  });

  it("stores a design table that is pasted", async () => {
    const name = basename(PLATES[0] as string).replace(/\.[^.]*$/, "");
    const field = page.getByLabel("Paste a table from a spreadsheet");
    await field.fill("image\tplant\tgenotype\r\nx\tfirst\tcol-0\r\n");
    await page.getByText("Row 1, column plant: first is not a whole number").waitFor();
    expect(await accessibilityProblems()).toEqual([]);
    await field.fill(`image\tgenotype\ttreatment\r\n${name}\tcol-0\t"NaCl, 50 mM"\r\nabsent\tler\tnone\r\n`);
    await page.getByText("Preview: 2 rows").waitFor();
    await screenshot("experiment-preview");
    await page.getByRole("button", { name: "Save the design table" }).click();
    await page
      .getByText(`Rows without a photograph: 1. Photographs without a row: ${PLATES.length - 1}.`)
      .waitFor();
    await page.getByText("NaCl, 50 mM").waitFor();
  });

  it("fits each size, in the light and in the dark", async () => {
    for (const theme of ["light", "dark"]) {
      await page.getByLabel("Colour theme").selectOption(theme);
      for (const [name, width, height] of [
        ["laptop", 1440, 900],
        ["tablet", 1024, 768],
        ["phone", 414, 896],
      ] as const) {
        await page.setViewportSize({ width, height });
        await screenshot(`experiment-${name}-${theme}`);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(overflow, name).toBeLessThanOrEqual(0);
        expect(await accessibilityProblems(), `${name} ${theme}`).toEqual([]);
      }
    }
    await page.setViewportSize({ width: 1440, height: 900 });
  });

  it("stores a correction with a reason, and opens it again", async () => {
    await page.getByLabel("Colour theme").selectOption("light");
    await page.locator(".images tbody th button").first().click();
    await page.locator(".plants tbody tr").first().waitFor();
    expect(await page.getByText("The roots are stored as shown.").isVisible()).toBe(true);
    await page.keyboard.press("n");
    await page.getByRole("application").focus();
    await page.keyboard.press("[");
    for (let press = 0; press < 3; press += 1) await page.keyboard.press("Shift+ArrowDown");
    await page.getByText("The correction is not saved yet.").waitFor();
    await page.locator('[data-trait="primary_root_length"].changed').waitFor();
    await page.getByLabel("Reason").fill("the tip is lower");
    await page.getByRole("button", { name: "Save correction" }).click();
    await page.getByText(/UTC, .+: the tip is lower/).waitFor();
    await page.getByText("The roots are stored as shown.").waitFor();
    await screenshot("stored");
    expect(await accessibilityProblems()).toEqual([]);
    const length = await page.locator('[data-trait="primary_root_length"]').textContent();
    await page.reload();
    await page.getByRole("button", { name: "Experiments" }).click();
    await page.getByRole("button", { name: NAME }).click();
    await page.locator(".images tbody th button").first().click();
    await page.getByText(/UTC, .+: the tip is lower/).waitFor();
    await page.keyboard.press("n");
    await page.locator('[data-trait="primary_root_length"].changed').waitFor();
    expect(await page.locator('[data-trait="primary_root_length"]').textContent()).toBe(length);
    await page.getByRole("button", { name: "Experiments" }).click();
    await page.getByRole("button", { name: NAME }).click();
    await page.getByRole("heading", { name: NAME }).waitFor();
  });

  it("lists the experiment with its factors", async () => {
    await page.getByRole("button", { name: "All experiments" }).click();
    const row = page.getByRole("row", { name: new RegExp(NAME) });
    await row.getByText("genotype, treatment").waitFor();
    await screenshot("experiments");
    expect(await accessibilityProblems()).toEqual([]);
  });

  it("measures all photographs again on the server", async () => {
    await page.getByRole("button", { name: NAME }).click();
    await page.getByRole("button", { name: `Measure all ${PLATES.length} again` }).click();
    await page.getByText(/^Finished .+ UTC: \d+ of \d+ measured$/).waitFor({ timeout: 120_000 });
    expect(await page.getByText(/^Finished/).textContent()).toContain(
      `${PLATES.length} of ${PLATES.length} measured`,
    );
    expect(await accessibilityProblems()).toEqual([]);
    await screenshot("experiment-job");
    await page.getByRole("button", { name: "All experiments" }).click();
  });

  it("shows distributions under the Content-Security-Policy, and saves them", async () => {
    const own = await browser.newPage({ viewport: { width: 1440, height: 1000 } });
    const problems: string[] = [];
    own.on("console", (message) => {
      if (message.type() === "error") problems.push(message.text());
    });
    own.on("pageerror", (error) => problems.push(String(error)));
    await own.goto(URL_OF_PAGE);
    await own.getByRole("button", { name: "Experiments" }).click();
    await own.getByRole("button", { name: NAME }).click();
    await own.getByRole("button", { name: "Show distributions" }).click();
    await own.locator("svg.boxplot").waitFor({ timeout: 30_000 });
    const groups = () =>
      own
        .locator(".boxplot [data-group]")
        .evaluateAll((boxes) => boxes.map((box) => box.getAttribute("data-group")));
    expect(await groups()).toEqual(["", "col-0"]);
    await own.getByLabel("Divide by").selectOption({ label: "treatment" });
    await own.getByText("NaCl, 50 mM", { exact: true }).first().waitFor();
    expect(await accessibilityProblemsOf(own)).toEqual([]);
    for (const [button, start] of [
      ["Figure (SVG)", "<svg"],
      ["Figure (PNG)", "\x89PNG"],
    ] as const) {
      const [file] = await Promise.all([
        own.waitForEvent("download"),
        own.getByRole("button", { name: button }).click(),
      ]);
      const bytes = await readFile(await file.path());
      expect(bytes.subarray(0, 4).toString("latin1")).toBe(start);
      expect(bytes.length).toBeGreaterThan(3000);
      expect(file.suggestedFilename()).toMatch(/^Drop_\d+_primary_root_length_mm_by_genotype\.(svg|png)$/);
    }
    if (SCREENSHOTS !== undefined) {
      await own.locator(".distributions").screenshot({ path: `${SCREENSHOTS}/distributions.png` });
      await own.getByLabel("Colour theme").selectOption("dark");
      await own.locator(".distributions").screenshot({ path: `${SCREENSHOTS}/distributions-dark.png` });
    }
    await own.setViewportSize({ width: 414, height: 896 });
    const overflow = await own.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow).toBeLessThanOrEqual(0);
    expect(problems).toEqual([]);
    await own.close();
  });

  it("adds files that are dropped elsewhere to the photographs", async () => {
    await page.getByRole("button", { name: "Photographs" }).click();
    await drop([PLATES[0] as string]);
    await page.getByText("2 of 2 measured").waitFor({ timeout: 120_000 });
  });
});

/** Drop files and folders of the disk, as a file manager does: the page gets real entries of a file system. */
async function drop(paths: string[]): Promise<void> {
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await session.send("Input.dispatchDragEvent", { type, x: 600, y: 500, data });
}

async function screenshot(name: string): Promise<void> {
  if (SCREENSHOTS !== undefined) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
}

/** Return the violations of WCAG 2.2 AA that axe finds. */
async function accessibilityProblems(): Promise<string[]> {
  await page.addScriptTag({ path: AXE });
  return page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: typeof import("axe-core") }).axe;
    const result = await axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    });
    return result.violations.map(
      (violation) => `${violation.id}: ${violation.nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`,
    );
  });
}
