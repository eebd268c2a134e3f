import { Actor } from "@banquo/domain/Actor"
import { Context } from "effect"

/** Who the programs write for: kept with each change, and the owner of its idempotency keys. */
export const CurrentActor = Context.Reference<Actor>("@banquo/ledger/CurrentActor", {
  defaultValue: () => Actor.make("anonymous"),
})
