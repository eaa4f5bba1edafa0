/**
 * Figures of the page in Chromium, printed: THALE_URL is a server without models. `benchmarks/web_page.py` starts it.
 */
import type { Browser, CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { addPhotographs, drawPhotograph, launch, respondWith, syntheticPlate } from "./support";

const URL_OF_PAGE = process.env["THALE_URL"] ?? "";
const FRAMES = 240;
const LOADS = 9;
const PLATES = 5;
const PLANTS = 6;

let browser: Browser;
let page: Page;
let photograph: Buffer;

beforeAll(async () => {
  browser = await launch();
  page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto(URL_OF_PAGE);
  photograph = await drawPhotograph(page);
});
afterAll(async () => {
  await browser?.close();
});

describe("figures of the page", () => {
  it("first paint", async () => {
    const paints: number[] = [];
    let bytes = 0;
    for (let load = 0; load < LOADS; load += 1) {
      const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
      const fresh = await context.newPage();
      await fresh.goto(URL_OF_PAGE);
      await fresh.getByRole("button", { name: "Choose files" }).waitFor();
      const [paint, loaded] = await fresh.evaluate(() => [
        performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Number.NaN,
        [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].reduce(
          (sum, entry) => sum + (entry as PerformanceResourceTiming).encodedBodySize,
          0,
        ),
      ]);
      paints.push(paint as number);
      bytes = loaded as number;
      await context.close();
    }
    print(`first contentful paint without a cache: median ${at(paints, 0.5)} ms, max ${at(paints, 1)} ms`);
    print(`loaded at the start: ${(bytes / 1000).toFixed(1)} kB compressed`);
    expect(bytes).toBeLessThan(400_000);
  });

  it("frames with 30 plants and 500 roots on 12 megapixels", async () => {
    await respondWith(page, syntheticPlate(30, 500));
    await addPhotographs(page, ["dense.jpg"], photograph);
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable");
    for (const gesture of ["idle", "pan", "zoom"] as const) {
      const before = await metrics(session);
      const deltas = await page.evaluate(runGesture, { gesture, frames: FRAMES });
      const after = await metrics(session);
      const perFrame = (name: string) =>
        ((1000 * ((after[name] ?? 0) - (before[name] ?? 0))) / FRAMES).toFixed(2);
      const mean = deltas.reduce((sum, delta) => sum + delta, 0) / deltas.length;
      print(
        `${gesture}: ${(1000 / mean).toFixed(1)} frames/s, median ${at(deltas, 0.5)} ms, p95 ${at(deltas, 0.95)} ms; ` +
          `main thread ${perFrame("TaskDuration")} ms/frame, of it scripts ${perFrame("ScriptDuration")} ms`,
      );
    }
  });

  it("seconds per corrected plant over five plates", async () => {
    await page.unroute("**/v1/phenotype*");
    await page.goto(URL_OF_PAGE);
    await respondWith(page, syntheticPlate(PLANTS, PLANTS * 6));
    const names = Array.from({ length: PLATES }, (_, index) => `plate_${index + 1}.jpg`);
    await addPhotographs(page, names, photograph);
    await page.getByRole("button", { name: /^Review/ }).click();
    const started = Date.now();
    const waits: number[] = [];
    for (let plate = 0; plate < PLATES; plate += 1) {
      for (let number = 1; number <= PLANTS; number += 1) waits.push(await correctPlant(page, number));
      await page.keyboard.press("a");
      await page
        .locator(".review-left")
        .getByText(leftText(PLATES - 1 - plate))
        .waitFor();
    }
    const seconds = (Date.now() - started) / 1000;
    print(
      `correction: ${(seconds / PLATES / PLANTS).toFixed(2)} s per plant of the page's own time ` +
        `(${PLATES} plates, ${PLATES * PLANTS} plants), new traits after median ${at(waits, 0.5)} ms, p95 ${at(waits, 0.95)} ms`,
    );
    expect(seconds / PLATES / PLANTS).toBeLessThan(10);
  });
});

/** Correct one plant as a person does by the keyboard: select its root and tip, move the tip, and wait for the traits. */
async function correctPlant(page: Page, number: number): Promise<number> {
  const row = page.locator(".plant-button").nth(number - 1);
  if ((await row.getAttribute("aria-pressed")) !== "true") await row.click();
  await page.getByRole("application").focus();
  for (let press = 0; press < (number === 1 ? 1 : 6); press += 1) await page.keyboard.press("n");
  await page.keyboard.press("[");
  const started = Date.now();
  for (let press = 0; press < 3; press += 1) await page.keyboard.press("Shift+ArrowDown");
  await page.locator('[data-trait="primary_root_length"].changed').waitFor({ timeout: 20_000 });
  return Date.now() - started;
}

function leftText(left: number): RegExp {
  return left === 0 ? /Everything/ : new RegExp(`^${left} photograph`);
}

async function metrics(session: CDPSession): Promise<Record<string, number>> {
  const { metrics: found } = await session.send("Performance.getMetrics");
  return Object.fromEntries(found.map(({ name, value }) => [name, value]));
}

/** Send one event of a gesture in each frame, and return the milliseconds between frames. */
async function runGesture({ gesture, frames }: { gesture: "idle" | "pan" | "zoom"; frames: number }) {
  const viewer = document.querySelector(".viewer") as HTMLElement;
  viewer.setPointerCapture = () => undefined;
  const pointer = (type: string, x: number, y: number) =>
    viewer.dispatchEvent(
      new PointerEvent(type, { pointerId: 1, bubbles: true, clientX: x, clientY: y, buttons: 1 }),
    );
  const deltas: number[] = [];
  if (gesture === "pan") pointer("pointerdown", 700, 450);
  let last = await new Promise<number>(requestAnimationFrame);
  for (let frame = 0; frame < frames; frame += 1) {
    const angle = (2 * Math.PI * frame) / 60;
    if (gesture === "pan") pointer("pointermove", 700 + 150 * Math.sin(angle), 450 + 100 * Math.cos(angle));
    if (gesture === "zoom")
      viewer.dispatchEvent(
        new WheelEvent("wheel", {
          deltaY: frame % 120 < 60 ? -25 : 25,
          clientX: 700,
          clientY: 450,
          cancelable: true,
        }),
      );
    const now = await new Promise<number>(requestAnimationFrame);
    deltas.push(now - last);
    last = now;
  }
  if (gesture === "pan") pointer("pointerup", 700, 450);
  return deltas;
}

function at(values: readonly number[], share: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN).toFixed(1);
}

function print(text: string): void {
  console.info(`figure: ${text}`);
}
