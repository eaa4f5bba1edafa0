import { existsSync, readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";

const FILES = new URL("../../services/thale/facade/api/web_files/", import.meta.url);
const MAX_GZIPPED_BYTES = 400_000;

it.runIf(existsSync(FILES))("keeps the built page below 400 kB gzipped, without inline code", () => {
  const assets = readdirSync(new URL("assets/", FILES)).map((name) =>
    readFileSync(new URL(`assets/${name}`, FILES)),
  );
  const index = readFileSync(new URL("index.html", FILES), "utf8");
  const bytes = assets.reduce((sum, asset) => sum + gzipSync(asset).length, gzipSync(index).length);
  const loaded = [...index.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(([, path]) =>
    readFileSync(new URL(path as string, FILES)),
  );
  const loadedBytes = loaded.reduce((sum, asset) => sum + gzipSync(asset).length, gzipSync(index).length);
  expect(bytes).toBeLessThan(MAX_GZIPPED_BYTES);
  expect(loaded.some((asset) => asset.includes("acquireTokenSilent("))).toBe(false);
  // the series and the distributions are chunks of their own, with their style sheets
  for (const mark of ["series-photographs", "--curve-0", "plot-choices"]) {
    expect(assets.some((asset) => asset.includes(mark))).toBe(true);
    expect(loaded.some((asset) => asset.includes(mark))).toBe(false);
  }
  expect(loadedBytes).toBeLessThan(bytes - 50_000);
  expect(index).not.toMatch(/<style|style=|<script>|https?:/);
  expect(index).toMatch(/<script type="module" crossorigin src="\.\/assets\/index-[\w-]+\.js">/);
});
