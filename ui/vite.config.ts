import { defineConfig } from "vitest/config";
import { loader, standalone } from "./loader.ts";
import { minifyCss } from "./minify.ts";

export default defineConfig({
  base: "./",
  plugins: [minifyCss(), loader(), standalone("resumable-fetch")],
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
  test: { environment: "happy-dom", include: ["src/**/*.test.ts", "tests/**/*.test.ts"] },
});
