/**
 * Sign-in by Entra ID in Chromium: THALE_URL, THALE_AUTHORITY (its origin), and THALE_EXPECTED: `tokens` or `denied`.
 * `services/tests/integration/test_web_sign_in.py` starts a server and an authority that speaks the protocol.
 */
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const URL_OF_PAGE = process.env["THALE_URL"] ?? "";
const AUTHORITY = process.env["THALE_AUTHORITY"] ?? "";
const IS_DENIED = process.env["THALE_EXPECTED"] === "denied";

let browser: Browser;
let page: Page;
const problems: string[] = [];
const hosts = new Set<string>();
const scripts: string[] = [];

beforeAll(async () => {
  const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  context.on("request", (request) => {
    hosts.add(new URL(request.url()).origin);
    if (request.resourceType() === "script") scripts.push(request.url());
  });
  context.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page = await context.newPage();
});

afterAll(async () => {
  await browser?.close();
});

async function openModels(): Promise<void> {
  await page.getByRole("button", { name: "Photographs" }).click();
  await page.getByRole("button", { name: "Models" }).click();
}

describe("sign-in by Entra ID", () => {
  it("loads no library before it is needed, and explains a request without a credential", async () => {
    await page.goto(URL_OF_PAGE);
    await openModels();
    await page.getByText(/the request has no credential/).waitFor();
    expect(scripts.some((script) => script.includes("entra"))).toBe(false);
    expect([...hosts]).toEqual([new URL(URL_OF_PAGE).origin]);
  });

  it.runIf(IS_DENIED)("shows why the authority has refused, in words", async () => {
    await page.getByRole("button", { name: "Sign in…" }).click();
    await page.getByRole("button", { name: "Sign in with Microsoft Entra ID" }).click();
    await page.getByText(/The sign-in failed: AADSTS65004/).waitFor();
    expect(await page.getByRole("button", { name: "Sign in with Microsoft Entra ID" }).isEnabled()).toBe(
      true,
    );
  });

  it.runIf(!IS_DENIED)("signs in through the window of the authority, which closes", async () => {
    await page.getByRole("button", { name: "Sign in…" }).click();
    if (process.env["THALE_SCREENSHOTS"])
      await page.screenshot({ path: `${process.env["THALE_SCREENSHOTS"]}/sign-in.png` });
    const opened = page.waitForEvent("popup");
    await page.getByRole("button", { name: "Sign in with Microsoft Entra ID" }).click();
    const popup = await opened;
    await page.getByRole("button", { name: "Sign out Anna Berg" }).waitFor();
    if (!popup.isClosed()) await popup.waitForEvent("close");
    await page.getByText("No model is released.").waitFor();
    expect([...hosts].sort()).toEqual([new URL(URL_OF_PAGE).origin, AUTHORITY].sort());
  });

  it.runIf(!IS_DENIED)("stores no token in the browser", async () => {
    const stored = await page.evaluate(async () => ({
      local: JSON.stringify({ ...localStorage }),
      session: JSON.stringify({ ...sessionStorage }),
      databases: (await indexedDB.databases()).map(({ name }) => name),
    }));
    for (const text of [stored.local, stored.session]) {
      expect(text).not.toMatch(/eyJ|secret|verifier|refresh|Anna/i);
    }
    expect(await page.context().cookies()).toEqual([]);
    console.info(`stored: ${JSON.stringify(stored)}`);
  });

  it.runIf(!IS_DENIED)("renews a token that has expired, without a window", async () => {
    let windows = 0;
    page.on("popup", () => {
      windows += 1;
    });
    await page.waitForTimeout(3000);
    await openModels();
    await page.getByText("No model is released.").waitFor();
    expect(windows).toBe(0);
  });

  it.runIf(!IS_DENIED)("forgets the tokens when the user signs out, or reloads the page", async () => {
    await page.getByRole("button", { name: "Sign out Anna Berg" }).click();
    await openModels();
    await page.getByText(/the request has no credential/).waitFor();
    await page.reload();
    expect(await page.getByRole("button", { name: "Sign in…" }).isVisible()).toBe(true);
  });

  it("breaks no policy of the page", () => {
    expect(problems.filter((problem) => !problem.includes("status of 401"))).toEqual([]);
  });
});
