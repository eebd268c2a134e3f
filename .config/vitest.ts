import { defineConfig } from "vitest/config"

const root = `${import.meta.dirname}/..`

export default defineConfig({
  test: {
    root,
    include: ["packages/*/test/**/*.test.ts"],
    globalSetup: [`${root}/packages/ledger/test/DatabaseServer.ts`],
    maxWorkers: 2,
    // Limits on a hung test, not a pace: whatever waits, waits for an event.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
