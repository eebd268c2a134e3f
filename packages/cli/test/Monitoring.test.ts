/** Whatever alerts, the dashboard and the runbook name is there: metrics of a running service, alerts, chapters. */
import { assert, layer } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parse } from "yaml"
import * as TestDatabase from "@banquo/testing/TestDatabase"
import { get, post, serve } from "./ServeProcess.ts"

const read = (file: string) =>
  readFileSync(join(import.meta.dirname, "../../../k8s/components/monitoring", file), "utf8")

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string }
}

const rules = (
  parse(read("prometheusrule.yaml")) as {
    readonly spec: { readonly groups: ReadonlyArray<{ readonly rules: ReadonlyArray<Rule> }> }
  }
).spec.groups.flatMap(({ rules }) => rules)

const dashboard = JSON.parse(read("dashboard.json")) as {
  readonly panels: ReadonlyArray<{ readonly title: string; readonly targets: ReadonlyArray<{ readonly expr: string }> }>
}

const expressions = [
  ...rules.map(({ expr }) => expr),
  ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
]

/** Names of metrics in an expression; `up` is Prometheus's own. */
const metricsIn = (expr: string) => expr.match(/\b(?:banquo|process)_\w+/g) ?? []

/** Label matchers, such as `code="overloaded"`. */
const matchersIn = (expr: string) =>
  [...expr.matchAll(/((?:banquo|process)_\w+)\{([^}]*)\}/g)].flatMap(([, metric, labels]) =>
    [...labels!.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, value]) => ({
      metric: metric!,
      label: label!,
      value: value!,
    })),
  )

layer(TestDatabase.layer, { excludeTestServices: true })("monitoring", (it) => {
  it.effect("every metric, and every label value, of the rules and the dashboard is in /metrics", () =>
    Effect.gen(function* () {
      const { url } = yield* serve({ DATABASE_URL: Redacted.value((yield* TestDatabase.TestDatabase).appUrl) })
      const opened = yield* post(`${url}/v1/accounts`, { customer_name: "Ann", currency: "EUR" })
      const { account_id } = JSON.parse(opened.text) as { readonly account_id: string }
      const secret = { changes: [{ account_id, amount: "731.17" }] }
      assert.strictEqual((yield* post(`${url}/v1/transactions`, secret)).status, 201)
      assert.strictEqual((yield* get(`${url}/readyz`)).status, 200)
      assert.strictEqual((yield* get(`${url}/v1/accounts/${account_id}/changes?limit=1`)).status, 200)
      for (const path of ["/nobody/knows", "/v1/accounts/0/what", `/v1/${account_id}`]) yield* get(`${url}${path}`)
      const { headers, text } = yield* get(`${url}/metrics`)
      assert.match(headers.get("content-type")!, /^text\/plain; version=0\.0\.4/)

      const types = new Map([...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => [name!, type!]))
      const series = new Set(
        [...types].flatMap(([name, type]) =>
          type === "histogram" ? ["bucket", "sum", "count"].map((part) => `${name}_${part}`) : [name],
        ),
      )
      const used = new Set(expressions.flatMap(metricsIn))
      assert.isAbove(used.size, 10)
      for (const name of used) assert.isTrue(series.has(name), `${name} is not in /metrics`)
      // Nothing of ours is measured for nobody.
      for (const [name, type] of types) {
        const names = type === "histogram" ? ["bucket", "sum", "count"].map((part) => `${name}_${part}`) : [name]
        assert.isTrue(
          names.some((name) => used.has(name)),
          `${name} is looked at by nothing`,
        )
      }
      for (const { label, metric, value } of expressions.flatMap(matchersIn)) {
        // What Prometheus adds, and what a database that is away would have caused.
        if (label === "job" || value === "5xx") continue
        assert.match(text, new RegExp(`^${metric}\\{[^}]*${label}="${value.replaceAll("/", "\\/")}"`, "m"))
      }

      // Routes, not paths; and nothing of an account.
      assert.match(text, /^banquo_http_requests_total\{method="POST",route="\/v1\/transactions",status="2xx"\} 1$/m)
      assert.match(text, /route="\/v1\/accounts\/:account_id\/changes"/)
      assert.match(text, /^banquo_http_requests_total\{method="GET",route="unknown",status="4xx"\} 3$/m)
      assert.notInclude(text, account_id)
      assert.notInclude(text, "731.17")
      assert.match(text, /^banquo_batch_rows_count [1-9]\d*$/m)
      assert.match(text, /^banquo_head_lookups_total\{result="hit"\} [1-9]\d*$/m)
      assert.match(text, /^banquo_refusals_total\{code="not_found"\} 3$/m)
    }),
  )

  it("every alert says how urgent it is, and the runbook has a chapter on each and on no other", () => {
    for (const { alert, annotations, labels } of rules) {
      assert.include(["page", "ticket"], labels.severity, alert)
      assert.isNotEmpty(annotations.summary, alert)
    }
    const chapters = [...read("RUNBOOK.md").matchAll(/^### (Banquo\w+)$/gm)].map(([, name]) => name)
    assert.sameMembers(
      chapters,
      rules.map(({ alert }) => alert),
    )
  })
})
