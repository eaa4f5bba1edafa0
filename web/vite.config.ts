import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "./", // the facade may be behind a gateway with a path
  plugins: [react()],
  build: {
    outDir: "../services/thale/facade/api/web_files",
    emptyOutDir: true,
    rolldownOptions: { input: { index: "index.html", "sign-in": "sign-in.html" } },
    assetsInlineLimit: 0, // the Content-Security-Policy permits no data URLs
    modulePreload: { polyfill: false },
    target: "es2022",
    license: { fileName: "assets/THIRD_PARTY_LICENSES.md" },
  },
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8080", changeOrigin: true } } },
  test: { include: ["tests/**/*.test.{ts,tsx}"], restoreMocks: true },
});
