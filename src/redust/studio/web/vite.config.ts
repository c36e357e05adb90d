import { defineConfig, loadEnv } from "vite";

export default defineConfig(({ mode }) => ({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  build: { outDir: "../static", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 700 },
  // While the page is being worked on: `REDUST_STUDIO=http://127.0.0.1:8000 npm run dev`.
  server: { proxy: { "/api": loadEnv(mode, ".", "REDUST_").REDUST_STUDIO ?? "http://127.0.0.1:8000" } },
}));
