/**
 * Accessibility in Chromium: axe in every state and both themes, the keyboard alone, and touch. THALE_URL is a server
 * without models, and a synthetic plate replaces them. `services/tests/integration/test_web_accessibility.py` starts it.
 */
import { readFile } from "node:fs/promises";
import type { Browser, BrowserContext, CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CANARY_ROLLOUTS } from "../tests/sampleRollouts";
import {
  accessibilityProblems,
  addPhotographs,
  drawPhotograph,
  launch,
  respondWith,
  settle,
  syntheticPlate,
} from "./support";

const URL_OF_PAGE = process.env["THALE_URL"] ?? "";
const MAX_TABS = 120;
/** 2.5.8 of WCAG 2.2 requires 24 px. Fingers need more. */
const MIN_TARGET_PX = 40;
const PLATE = (() => {
  const plate = syntheticPlate(4, 16);
  const flag = { code: "crossing", message: "roots cross at 700,500", at: { x: 700, y: 500 } };
  return { ...plate, flags: [flag] };
})();

let browser: Browser;
let photograph: Buffer;

beforeAll(async () => {
  browser = await launch();
  const page = await browser.newPage();
  await page.goto(URL_OF_PAGE);
  photograph = await drawPhotograph(page);
  await page.close();
});
afterAll(async () => {
  await browser?.close();
});

async function open(options: Parameters<Browser["newContext"]>[0]): Promise<[BrowserContext, Page]> {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  const page = await context.newPage();
  await page.goto(URL_OF_PAGE);
  await respondWith(page, PLATE);
  return [context, page];
}

describe.each(["light", "dark"] as const)("axe in the %s theme", (theme) => {
  it("finds no violation in any state", async () => {
    const [context, page] = await open({ colorScheme: theme, reducedMotion: "reduce" });
    const check = async (state: string) => expect(await accessibilityProblems(page), state).toEqual([]);
    const button = (name: string | RegExp) => page.getByRole("button", { name });
    await check("empty");
    await page.getByText("Scale and plate").click();
    await page.getByLabel("Plate width (mm)").fill("-1");
    await check("options with an invalid number");
    await page.getByLabel("Plate width (mm)").fill("");
    await button("Sign in…").click();
    await check("sign-in");
    await button("Cancel").click();
    await page.route("**/v1/phenotype*", (route) =>
      route.fulfill({
        status: 415,
        json: { title: "Not readable", detail: "no image", status: 415, type: "x" },
      }),
    );
    await page.setInputFiles('[data-testid="files"]', {
      name: "text.png",
      mimeType: "image/png",
      buffer: Buffer.from("text"),
    });
    await page.getByText("no image").first().waitFor();
    await check("failed photograph");
    await button("Remove").click();
    await respondWith(page, PLATE);
    await addPhotographs(page, ["a.jpg", "b.jpg"], photograph);
    await check("measured photographs");
    await page.locator(".plant-button").first().click();
    await check("selected plant");
    await page.keyboard.press("n");
    await check("selected root");
    await page.keyboard.press("[");
    await page.keyboard.press("Shift+ArrowDown");
    await page.getByRole("application").focus();
    await page.keyboard.press("Shift+ArrowDown");
    await page.locator(".changed").first().waitFor();
    await check("corrected root");
    await page.getByText("Keyboard", { exact: true }).click();
    await check("list of keys");
    await button("Add a lateral").click();
    await check("drawing");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.getByText("roots cross").first().click();
    await check("flag");
    await button(/^Review/).click();
    await check("review");
    for (let press = 0; press < 2; press += 1) {
      await page.keyboard.press("a");
      await settle(page);
    }
    await page.getByText("Everything is reviewed.").waitFor();
    await check("reviewed");
    await button("Series").click();
    await page.getByText("Left out:").first().waitFor();
    await check("series without times");
    for (const summary of await page.locator("summary").all()) await summary.click();
    await page.getByLabel("All photographs show the same plate").check();
    await page.getByLabel("Time of a.jpg").fill("2023-08-01T10:00");
    await page.getByLabel("Time of b.jpg").fill("2023-08-02T10:00");
    await page.locator("svg.curves").waitFor();
    await page.getByText("Values as a table").click();
    await check("series");
    await page.locator(".series-plants .plant-button").first().click();
    await check("series with a selected plant");
    await page.route("**/v1/rollouts", (route) => route.fulfill({ json: CANARY_ROLLOUTS }));
    await page.route("**/v1/models", (route) => route.fulfill({ json: [] }));
    await button("Models").click();
    await page.getByText("Verdict:").waitFor();
    for (const summary of await page.locator("summary").all()) await summary.click();
    await check("rollout");
    await page.route("**/v1/rollouts", (route) => route.abort());
    await page.getByRole("alert").waitFor({ timeout: 15_000 });
    await check("rollout that is not updated");
    await context.close();
  });
});

describe("the keyboard alone", () => {
  it("adds a photograph, corrects a root, and downloads it", async () => {
    const [context, page] = await open({});
    await page.keyboard.press("Tab");
    expect(await focused(page)).toBe("Skip to the photograph");
    // Chromium needs a moment until it reports choosers instead of opening them.
    const chooser = page.waitForEvent("filechooser");
    await tabTo(page, /^Choose files$/);
    await page.keyboard.press("Enter");
    await (await chooser).setFiles([{ name: "a.jpg", mimeType: "image/jpeg", buffer: photograph }]);
    await page.getByText("1 of 1 measured").waitFor();
    await tabTo(page, /^2$/);
    await page.keyboard.press("Enter");
    await page.getByText("Traits of plant 2").waitFor();
    await tabTo(page, /^Photograph with roots/, "Shift+Tab");
    for (let root = 0; root < 5; root += 1) await page.keyboard.press("n"); // the primary root of plant 2
    await page.keyboard.press("[");
    await page.keyboard.press("Shift+ArrowDown");
    await page.locator('[data-trait="primary_root_length"].changed').waitFor();
    await page.keyboard.press("Control+z");
    await page.locator('[data-trait="primary_root_length"].changed').waitFor({ state: "detached" });
    await page.keyboard.press("Control+y");
    await page.locator('[data-trait="primary_root_length"].changed').waitFor();
    await tabTo(page, /^CSV$/, "Shift+Tab");
    const [file] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
    expect(await readFile(await file.path(), "utf8")).toContain("corrected");
    await context.close();
  });

  it("leaves the photograph and dialogs, and returns from them", async () => {
    const [context, page] = await open({});
    await addPhotographs(page, ["a.jpg"], photograph);
    await page.getByRole("application").focus();
    await page.keyboard.press("Tab");
    expect(await focused(page)).toBe("Zoom out"); // no trap
    await tabTo(page, /^Sign in…$/, "Shift+Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    expect(await focused(page)).toBe("Sign in…");
    await context.close();
  });
});

describe("touch on a tablet", () => {
  it("has targets for fingers, and moves and zooms the photograph", async () => {
    const [context, page] = await open({
      hasTouch: true,
      isMobile: true,
      viewport: { width: 1024, height: 768 },
    });
    expect(await page.evaluate(() => matchMedia("(pointer: coarse)").matches)).toBe(true);
    expect(await smallTargets(page)).toEqual([]);
    await addPhotographs(page, ["a.jpg"], photograph);
    await page.locator(".plant-button").first().tap();
    await page.locator(".plant-button").first().scrollIntoViewIfNeeded();
    expect(await smallTargets(page)).toEqual([]);
    await page.getByRole("button", { name: "Series" }).tap();
    await page.getByText("at least two measured photographs").waitFor();
    expect(await smallTargets(page)).toEqual([]);
    await page.getByRole("button", { name: "Photographs" }).tap();
    const session = await context.newCDPSession(page);
    const box = await page.getByRole("application").boundingBox();
    const [x, y] = [(box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + (box?.height ?? 0) / 2];
    const before = await transform(page);
    await touch(session, [[[x, y]], [[x + 20, y + 10]], [[x + 60, y + 30]]]);
    await settle(page);
    const panned = await transform(page);
    expect(panned.scale).toBeCloseTo(before.scale, 5);
    expect(panned.x - before.x).toBeCloseTo(60, 0);
    expect(panned.y - before.y).toBeCloseTo(30, 0);
    const pinch = (half: number): [number, number][] => [
      [x - half, y],
      [x + half, y],
    ];
    await touch(session, [pinch(40), pinch(60), pinch(100)]);
    await settle(page);
    expect((await transform(page)).scale / panned.scale).toBeCloseTo(2.5, 1);
    expect(await page.evaluate(() => visualViewport?.scale)).toBe(1); // the page itself is not zoomed
    await context.close();
  });
});

async function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const element = document.activeElement;
    return element?.getAttribute("aria-label") ?? element?.textContent?.trim() ?? "";
  });
}

/** Press Tab until the element with this name has the focus. Each element on the way must show its focus. */
async function tabTo(page: Page, name: RegExp, key: "Tab" | "Shift+Tab" = "Tab"): Promise<void> {
  for (let press = 0; press < MAX_TABS; press += 1) {
    await page.keyboard.press(key);
    const isVisible = await page.evaluate(() => {
      const element = document.activeElement;
      return (
        element === null || element === document.body || getComputedStyle(element).outlineStyle !== "none"
      );
    });
    expect(isVisible, `focus of ${await focused(page)}`).toBe(true);
    if (name.test(await focused(page))) return;
  }
  throw new Error(`no element ${name} within ${MAX_TABS} tabs`);
}

async function smallTargets(page: Page): Promise<string[]> {
  return page.evaluate((minimum) => {
    const targets = document.querySelectorAll<HTMLElement>(
      "button, select, summary, label.chip, label.check, input:not([type=checkbox]):not([type=file])",
    );
    return [...targets]
      .filter((target) => target.checkVisibility())
      .map((target) => ({ target, box: target.getBoundingClientRect() }))
      .filter(({ box }) => box.height < minimum || box.width < 24)
      .map(({ target, box }) => `${target.outerHTML.slice(0, 80)}: ${box.width} x ${box.height}`);
  }, MIN_TARGET_PX);
}

async function transform(page: Page): Promise<{ scale: number; x: number; y: number }> {
  return page.evaluate(() => {
    const photograph = document.querySelector(".photograph") as HTMLElement;
    const matrix = new DOMMatrix(getComputedStyle(photograph).transform);
    return { scale: matrix.a, x: matrix.e, y: matrix.f };
  });
}

/** Touch with one finger for each point, and move the fingers through the steps. */
async function touch(session: CDPSession, steps: readonly (readonly [number, number])[][]): Promise<void> {
  for (const [index, points] of steps.entries()) {
    await session.send("Input.dispatchTouchEvent", {
      type: index === 0 ? "touchStart" : "touchMove",
      touchPoints: points.map(([x, y], id) => ({ x, y, id })),
    });
  }
  await session.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
}
