import { defineConfig } from "vitest/config"

const isElsewhere = process.env["BANQUO_TEST_DATABASE_URL"] !== undefined
const root = `${import.meta.dirname}/..`

export default defineConfig({
  test: {
    root,
    include: ["packages/*/test/**/*.test.ts"],
    globalSetup: [`${root}/packages/testing/src/DatabaseServer.ts`],
    maxWorkers: 2,
    // Limits on a hung test, not a pace: whatever waits, waits for an event.
    // A server elsewhere may need seconds for a schema and shares its machine with others.
    testTimeout: isElsewhere ? 180_000 : 120_000,
    hookTimeout: isElsewhere ? 600_000 : 120_000,
  },
})
