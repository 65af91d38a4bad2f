import { readdirSync, rmSync } from "node:fs";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig, type Plugin } from "vite";

/** Empties dist, but for the .gitignore that keeps the folder in git. */
function emptyDist(): Plugin {
  return {
    name: "empty-dist",
    apply: "build",
    buildStart() {
      for (const name of readdirSync("dist")) {
        if (name !== ".gitignore") rmSync(`dist/${name}`, { recursive: true });
      }
    },
  };
}

export default defineConfig({
  plugins: [emptyDist(), svelte()],
  build: {
    emptyOutDir: false,
    // The page runs under `default-src 'self'`: nothing may become a data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
  // `npx vite` shows the page while it is worked on, with a real server behind it.
  server: { proxy: { "/api": process.env.BUBBLE_SERVER_URL ?? "http://127.0.0.1:8080" } },
});
