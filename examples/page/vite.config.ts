import { defineConfig } from "vite";

/** Only a page that is served with these headers has shared memory, and so threads. Without them everything else runs as well. */
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

export default defineConfig({
  base: "./",
  build: { outDir: "out", emptyOutDir: true },
  server: { headers },
  preview: { headers },
  // Bundling packages for the development server, Vite would lose the files that they load as workers.
  optimizeDeps: { exclude: ["adamax"] },
});
