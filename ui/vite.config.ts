import { defineConfig } from "vitest/config";
import { loader } from "./loader.ts";
import { minifyCss } from "./minify.ts";

export default defineConfig({
  base: "./",
  plugins: [minifyCss(), loader()],
  build: {
    outDir: "../src/chatkit/web/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: { element: "src/main.ts", page: "src/page/page.ts", "resumable-fetch": "src/resumable-fetch.ts" },
      // Otherwise what nobody in the build imports would be taken out of the module that pages import.
      preserveEntrySignatures: "exports-only",
      output: {
        entryFileNames: ({ name }) => (name === "resumable-fetch" ? "[name].js" : "chunks/[name]-[hash].js"),
        chunkFileNames: "chunks/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
  test: { environment: "happy-dom", include: ["src/**/*.test.ts", "tests/**/*.test.ts"] },
});
