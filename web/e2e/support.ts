/** Chromium, synthetic plates and checks for the tests in the browser. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, chromium, type Page } from "playwright-core";
import type { Phenotype, Root, XY } from "../src/api/types";
import { phenotype, plant, root, trait } from "../tests/support";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const PHOTOGRAPH = { width: 4000, height: 3000 };

export function launch(): Promise<Browser> {
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  return chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

/** Return a plate of `plants` seedlings in rows of ten, with `roots` roots in total and a point every few pixels. */
export function syntheticPlate(plants: number, roots: number): Phenotype {
  const laterals = roots - plants;
  const found = Array.from({ length: plants }, (_, index) => {
    const [x, y] = [250 + (index % 10) * 380, 150 + Math.floor(index / 10) * 950];
    const id = index + 1;
    const primary = wave(String(id), null, [x, y], [x, y + 800], 100);
    const count = Math.floor(laterals / plants) + (index < laterals % plants ? 1 : 0);
    const rest = Array.from({ length: count }, (_, number) => {
      const start = primary.points[5 + number * 5] as XY;
      const side = number % 2 === 0 ? 1 : -1;
      return wave(`${id}.${number + 1}`, String(id), start, [start[0] + side * 150, start[1] + 130], 35);
    });
    const traits = [trait("primary_root_length", 80), trait("lateral_root_count", count, { unit: "1" })];
    return plant(id, [primary, ...rest], traits, { plate: null });
  });
  const measured = phenotype(found);
  return { ...measured, image: { ...measured.image, ...PHOTOGRAPH, format: "JPEG" } };
}

function wave(id: string, parent: string | null, from: XY, to: XY, count: number): Root {
  const points = Array.from({ length: count }, (_, index): XY => {
    const share = index / (count - 1);
    const bend = index === 0 ? 0 : 6 * Math.sin(share * 12);
    return [
      Math.round(from[0] + share * (to[0] - from[0]) + bend),
      Math.round(from[1] + share * (to[1] - from[1])),
    ];
  });
  return root(id, parent, points);
}

/** Return a noisy photograph of 12 megapixels as JPEG, drawn by the browser. */
export async function drawPhotograph(page: Page): Promise<Buffer> {
  const base64 = await page.evaluate(async ({ width, height }) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d") as CanvasRenderingContext2D;
    const pixels = context.createImageData(width, height);
    const words = new Uint32Array(pixels.data.buffer);
    let state = 1;
    for (let index = 0; index < words.length; index += 1) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const grey = 60 + (state >>> 27) + ((index % width) >> 6);
      words[index] = (0xff << 24) | (grey << 16) | (grey << 8) | grey;
    }
    context.putImageData(pixels, 0, 0);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
    const bytes = new Uint8Array(await (blob as Blob).arrayBuffer());
    let text = "";
    for (let start = 0; start < bytes.length; start += 32768)
      text += String.fromCharCode(...bytes.subarray(start, start + 32768));
    return btoa(text);
  }, PHOTOGRAPH);
  return Buffer.from(base64, "base64");
}

/** Respond to each measurement with a plate, in place of the models. All other requests go to the server. */
export async function respondWith(page: Page, plate: Phenotype): Promise<void> {
  await page.route("**/v1/phenotype*", (route) => route.fulfill({ json: plate }));
}

export async function addPhotographs(
  page: Page,
  names: readonly string[],
  photograph: Buffer,
): Promise<void> {
  const files = names.map((name) => ({ name, mimeType: "image/jpeg", buffer: photograph }));
  await page.setInputFiles('[data-testid="files"]', files);
  await page.getByText(`${names.length} of ${names.length} measured`).waitFor({ timeout: 60_000 });
  await page.locator(".plants tbody tr").first().waitFor();
  await settle(page);
}

export async function settle(page: Page): Promise<void> {
  await page.evaluate(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
  );
  await page.waitForTimeout(300);
}

/** Return the violations of WCAG 2.2 AA that axe finds. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
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
