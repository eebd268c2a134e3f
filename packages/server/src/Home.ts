import { HttpServerResponse } from "effect/http"

/** For a person who opens the address of the service in a browser. */
export const page = HttpServerResponse.html(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Banquo</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1.5rem; }
  h1 { margin-bottom: 0; }
  dt { margin-top: 1rem; font-weight: 600; }
  dd { margin-left: 0; }
  code { font-size: 0.95em; }
</style>
</head>
<body>
<h1>Banquo</h1>
<p>A bank-account ledger: accounts, transactions, holds, statements. This is its HTTP API.</p>
<dl>
<dt><a href="/docs">Documentation</a></dt>
<dd>every route, to read and to try</dd>
<dt><a href="/openapi.json">OpenAPI document</a></dt>
<dd>the same for programs</dd>
<dt><a href="/v1/accounts">Accounts</a></dt>
<dd>the first page of them, as JSON</dd>
<dt><a href="/readyz">Readiness</a></dt>
<dd>whether the database answers</dd>
</dl>
</body>
</html>
`)
