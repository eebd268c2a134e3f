/** The verifier in Python, which knows no more of Banquo than `BYTES.md` of the domain says. */
import { exportFile, runPython } from "@banquo/testing/Python"
import { Effect } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { readFileSync } from "node:fs"

const selects = readFileSync(exportFile, "utf8")
  .split(";\n")
  .filter((statement) => statement.startsWith("SELECT"))

/** What it says of the ledger that the connection sees. */
export const verifyByPython = (
  sql: SqlClient.SqlClient,
): Effect.Effect<ReturnType<typeof runPython>, SqlError.SqlError> =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    for (const select of selects) {
      // As text: the driver would read numbers of JSON, and lose digits.
      const rows = yield* sql.unsafe<{ line: string }>(`SELECT s.line::TEXT AS line FROM (${select}) AS s(line)`)
      lines.push(...rows.map(({ line }) => line))
    }
    return runPython("verify.py", `${lines.join("\n")}\n`)
  })
