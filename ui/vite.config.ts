import { defineConfig } from "vitest/config";
import { loader, standalone } from "./loader.ts";
import { minifyCss } from "./minify.ts";
import { packages } from "./packages.ts";

export default defineConfig({
  base: "./",
  plugins: [minifyCss(), loader(), packages(), standalone("resumable-fetch")],
  build: {
    outDir: "../src/chatkit/web/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: { element: "src/main.ts", page: "src/page/page.ts" },
      output: {
        entryFileNames: "chunks/[name]-[hash].js",
        chunkFileNames: "chunks/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  // The limit ends a test that hangs; what a test may cost is counted, for machines are slow and busy.
  test: { environment: "happy-dom", testTimeout: 120_000, include: ["src/**/*.test.ts", "tests/**/*.test.ts"] },
});
