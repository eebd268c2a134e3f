/** One database server for a run of the tests, with a migrated database that each test file gets a copy of. */
import { EmbeddedPostgres } from "@banquo/embedded-postgres/EmbeddedPostgres"
import { Effect, ManagedRuntime, Redacted } from "effect"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { DbConn } from "../src/DbConn.ts"
import { migrate } from "../src/Migrator.ts"

declare module "vitest" {
  interface ProvidedContext {
    readonly databaseServer: {
      readonly ownerUrl: string
      readonly appUrl: string
      readonly superuserUrl: string
    }
  }
}

/** The database that the others are copies of. */
export const template = "banquo"

export default async function ({ provide }: TestProject) {
  const directory = mkdtempSync(join(tmpdir(), "banquo-test-"))
  // Reachable for the user that the server runs as when the tests run as root.
  chmodSync(directory, 0o755)
  const runtime = ManagedRuntime.make(EmbeddedPostgres.layer({ directory: join(directory, ".banquo") }))
  const { appUrl, ownerUrl, superuserUrl } = await runtime.runPromise(EmbeddedPostgres)
  const asOwner = DbConn.layerUrl({ url: ownerUrl, connectionsMax: 2 })
  await Effect.runPromise(migrate("tests").pipe(Effect.provide(asOwner)))
  provide("databaseServer", {
    ownerUrl: Redacted.value(ownerUrl),
    appUrl: Redacted.value(appUrl),
    superuserUrl: Redacted.value(superuserUrl),
  })
  return async () => {
    await runtime.dispose()
    rmSync(directory, { recursive: true, force: true })
  }
}
