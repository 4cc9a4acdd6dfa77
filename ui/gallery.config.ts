/** Builds the gallery, for looking at the views and for tests in a real browser; it is not shipped. */

import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  publicDir: false,
  build: {
    outDir: process.env["GALLERY_OUT"] ?? "node_modules/.gallery",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: { input: { gallery: "gallery.html", xss: "xss.html", bench: "bench.html", fuzz: "fuzz.html" } },
  },
});
