/**
 * The page in Chromium against a running platform: THALE_URL, THALE_PLATES (paths separated by colons), and
 * optionally THALE_SCREENSHOTS (a folder). `services/tests/integration/test_web_page.py` starts it.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const URL_OF_PAGE = process.env["THALE_URL"] ?? "";
const PLATES = (process.env["THALE_PLATES"] ?? "").split(":");
const SCREENSHOTS = process.env["THALE_SCREENSHOTS"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser: Browser;
let page: Page;
const problems: string[] = [];
const hosts = new Set<string>();

beforeAll(async () => {
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith("blob:")) hosts.add(new URL(request.url()).origin);
  });
});

afterAll(async () => {
  await browser?.close();
});

describe("the page", () => {
  it("measures plates that are selected", async () => {
    await page.goto(URL_OF_PAGE);
    await screenshot("empty");
    await page.setInputFiles('[data-testid="files"]', PLATES);
    await page.getByText(`${PLATES.length} of ${PLATES.length} measured`).waitFor({ timeout: 200_000 });
    await page.locator(".plants tbody tr").first().waitFor();
    expect(await page.locator(".plants tbody tr").count()).toBeGreaterThan(0);
    await settle();
    await screenshot("result");
  });

  it("selects a plant in the photograph when its row is selected", async () => {
    await page.locator(".plant-button").first().click();
    expect(await page.getByText("Traits of plant 1", { exact: true }).isVisible()).toBe(true);
    expect(await accessibilityProblems()).toEqual([]);
  });

  it("changes a length when a person moves a point", async () => {
    await page.keyboard.press("n"); // the first root
    const length = page.locator('[data-trait="primary_root_length"]');
    const before = await length.textContent();
    await page.getByRole("application").focus();
    await page.keyboard.press("["); // its tip
    const started = Date.now();
    for (let press = 0; press < 3; press += 1) await page.keyboard.press("Shift+ArrowDown");
    await page.locator('[data-trait="primary_root_length"].changed .was').waitFor({ timeout: 20_000 });
    console.info(`milliseconds from the first key to the new length: ${Date.now() - started}`);
    const after = await length.textContent();
    expect(after).not.toBe(before);
    expect(after).toContain("was");
    await settle();
    await screenshot("correct");
    expect(await accessibilityProblems()).toEqual([]);
  });

  it("drags a point by the pointer, and undoes it", async () => {
    const value = () => page.locator('[data-trait="primary_root_length"]').textContent();
    const before = await value();
    await page.getByRole("button", { name: "Zoom in" }).click();
    await page.keyboard.press("0");
    const tip = await handleOfTip();
    await page.mouse.move(tip.x, tip.y);
    await page.mouse.down();
    await page.mouse.move(tip.x + 4, tip.y + 14, { steps: 4 });
    await page.mouse.up();
    await expect.poll(value, { timeout: 20_000 }).not.toBe(before);
    await page.getByRole("button", { name: "Undo" }).click();
    await expect.poll(value, { timeout: 20_000 }).toBe(before);
  });

  it("downloads the corrected roots as RSML and CSV", async () => {
    const rsml = await download("RSML");
    expect(rsml).toContain("<rsml");
    expect(rsml).toMatch(/plant_flags>[^<]*corrected/);
    expect(await download("CSV")).toContain("corrected");
    expect(JSON.parse(await download("JSON")).flags.map((flag: { code: string }) => flag.code)).toContain(
      "corrected",
    );
  });

  it("counts what is left to review, and accepts with one key", async () => {
    await page.getByRole("button", { name: /^Review/ }).click();
    const left = page.locator(".review-left");
    expect(await left.textContent()).toContain(String(PLATES.length));
    await settle();
    await screenshot("review");
    expect(await accessibilityProblems()).toEqual([]);
    const started = Date.now();
    for (const rest of PLATES.map((_, index) => PLATES.length - 1 - index)) {
      await page.keyboard.press("a");
      await expect
        .poll(() => left.textContent(), { timeout: 20_000 })
        .toContain(rest === 0 ? "Everything" : String(rest));
    }
    console.info(`seconds for each accepted photograph: ${(Date.now() - started) / 1000 / PLATES.length}`);
  });

  it("shows models, in the dark too", async () => {
    await page.getByRole("button", { name: "Models" }).click();
    await page.getByText("plate-seg").waitFor();
    await screenshot("models");
    expect(await accessibilityProblems()).toEqual([]);
    await page.getByLabel("Colour theme").selectOption("dark");
    expect(await accessibilityProblems()).toEqual([]);
    await page.getByRole("button", { name: "Photographs" }).click();
    await settle();
    await screenshot("dark");
    expect(await accessibilityProblems()).toEqual([]);
  });

  it("fits a tablet and a telephone", async () => {
    await page.getByLabel("Colour theme").selectOption("light");
    for (const [name, width, height] of [
      ["tablet", 1024, 768],
      ["phone", 414, 896],
    ] as const) {
      await page.setViewportSize({ width, height });
      await settle();
      await screenshot(name);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, name).toBeLessThanOrEqual(0);
    }
    await page.setViewportSize({ width: 1440, height: 900 });
  });

  it("shows a failure in words", async () => {
    await page.setInputFiles('[data-testid="files"]', {
      name: "<img src=x onerror=alert(1)>.png",
      mimeType: "image/png",
      buffer: Buffer.from("no image"),
    });
    await page
      .getByText(/Not a readable JPEG/)
      .first()
      .waitFor({ timeout: 60_000 });
    expect(await page.locator("img[src=x]").count()).toBe(0);
  });

  it("draws frames in time while panning", async () => {
    const milliseconds = await page.evaluate(async () => {
      const viewer = document.querySelector(".viewer");
      if (viewer === null) return Number.NaN;
      const times: number[] = [];
      let last = performance.now();
      for (let frame = 0; frame < 60; frame += 1) {
        viewer.dispatchEvent(
          new WheelEvent("wheel", { deltaY: frame % 2 ? 20 : -20, clientX: 700, clientY: 500 }),
        );
        await new Promise((resolve) => requestAnimationFrame(resolve));
        times.push(performance.now() - last);
        last = performance.now();
      }
      return times.sort((a, b) => a - b)[30] as number;
    });
    console.info(`median milliseconds of a frame, in software rendering: ${milliseconds}`);
  });

  it("sends no request to another host, and breaks no policy", () => {
    expect([...hosts]).toEqual([new URL(URL_OF_PAGE).origin]);
    expect(problems.filter((problem) => !problem.includes("status of 415"))).toEqual([]);
  });
});

async function settle(): Promise<void> {
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  await page.waitForTimeout(300);
}

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

/** Return the place of the selected root's tip, whose handle has a colour of its own. */
async function handleOfTip(): Promise<{ x: number; y: number }> {
  await settle();
  return page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>(".viewer canvas");
    const context = canvas?.getContext("2d");
    if (!canvas || !context) throw new Error("no canvas");
    const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
    let [sumX, sumY, count] = [0, 0, 0];
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        const at = 4 * (y * width + x);
        // the tip's handle is selected: green, filled
        if (data[at] === 0x1c && data[at + 1] === 0x7c && data[at + 2] === 0x54) {
          sumX += x;
          sumY += y;
          count += 1;
        }
      }
    }
    const box = canvas.getBoundingClientRect();
    return { x: box.left + sumX / count, y: box.top + sumY / count };
  });
}

/** Return the violations of WCAG 2.2 AA that axe finds. */
async function accessibilityProblems(): Promise<string[]> {
  await page.evaluate(AXE);
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
