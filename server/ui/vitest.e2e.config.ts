import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["e2e/**/*.test.ts"],
    // Limits for a machine with other load: what is right ends far earlier.
    testTimeout: 180_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 30_000 } },
    // One server and one browser at a time.
    fileParallelism: false,
  },
});
