import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The page as one script and one style sheet, which the server puts into saved files
// (server/src/document.rs). It runs after `vite build`, which empties dist.
export default defineConfig({
  plugins: [svelte()],
  publicDir: false,
  build: {
    outDir: "dist/file",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
    rollupOptions: {
      input: "src/main.ts",
      output: { format: "iife", inlineDynamicImports: true, entryFileNames: "page.js", assetFileNames: "page[extname]" },
    },
  },
});
