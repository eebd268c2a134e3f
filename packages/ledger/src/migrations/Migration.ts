import type { Dialect } from "../database/Dialect.ts"

export interface Step {
  /** One statement, without effect when its object is there already. */
  readonly ddl: string
  /** A query whose first row says that there is nothing to do. */
  readonly unless?: string
  /** Only on this database; on both, if not said. */
  readonly dialect?: Dialect
}

export interface Migration {
  /** 1, 2, 3, … without gaps. Once released, a migration is never changed: databases keep its checksum. */
  readonly version: number
  readonly steps: ReadonlyArray<Step>
}
