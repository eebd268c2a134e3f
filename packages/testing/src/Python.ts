/** The programs in Python that hold `BYTES.md` of the domain to what it says. */
import { spawnSync } from "node:child_process"
import { join } from "node:path"

const directory = join(import.meta.dirname, "..", "..", "domain", "python")

/** Tests that need Python are skipped without it; `.ci/run` installs it. */
export const hasPython = spawnSync("python3", ["-c", "import sys; assert sys.version_info >= (3, 9)"]).status === 0

/** Runs a program of `domain/python`. */
export const runPython = (
  program: string,
  input = "",
): { readonly exitCode: number | null; readonly stdout: string; readonly stderr: string } => {
  const { status, stderr, stdout } = spawnSync("python3", ["-B", join(directory, program)], { encoding: "utf8", input })
  return { exitCode: status, stdout, stderr }
}

/** The statement by which a ledger is given to `verify.py`, a line for each row. */
export const exportFile = join(directory, "export.sql")
