/** What `banquo serve` says when it listens. The lines of curl work when they are pasted, one after the other. */
export const greeting = (options: {
  readonly url: string
  readonly database: string
  readonly accountId: string
}): string => {
  const { accountId, database, url } = options
  const post = (path: string, body: object) =>
    `curl -s ${url}${path} -H 'content-type: application/json' -d '${JSON.stringify(body)}'`
  return `
Banquo listens on ${url}
documentation:    ${url}/docs
database:         ${database}

Open an account, pay something in, look at it:

${post("/v1/accounts", { account_id: accountId, customer_name: "Ann", currency: "EUR", initial_balance: "100.00" })}

${post("/v1/transactions", { changes: [{ account_id: accountId, amount: "12.50" }], description: "tea" })}

curl -s ${url}/v1/accounts/${accountId}/changes
`
}
