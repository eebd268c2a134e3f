#!/usr/local/bin/node
// `cockroach start-single-node`, as far as docker/compose.yaml knows it.
const { execFileSync, spawn } = require("node:child_process")
const { appendFileSync, existsSync } = require("node:fs")
const { createServer } = require("node:http")
const { connect } = require("node:net")

const port = 26257
const data = "/tmp/data"
const bin = "/cockroach/postgres/bin"

if (!existsSync(`${data}/ready`)) {
  execFileSync(`${bin}/initdb`, ["--pgdata", data, "--username=root", "--auth=trust", "--encoding=UTF8", "--no-locale"])
  appendFileSync(`${data}/pg_hba.conf`, "host all all all trust\n")
  execFileSync(`${bin}/postgres`, ["--single", "-D", data, "postgres"], { input: "CREATE DATABASE defaultdb\n" })
  appendFileSync(`${data}/ready`, "")
}
const settings = [`port=${port}`, "listen_addresses=*", "unix_socket_directories="]
const postgres = spawn(`${bin}/postgres`, ["-D", data, ...settings.flatMap((setting) => ["-c", setting])], {
  stdio: "inherit",
})
postgres.on("exit", (code) => process.exit(code ?? 1))
process.on("SIGTERM", () => postgres.kill("SIGINT"))

// /health?ready=1
createServer((_, response) => {
  const socket = connect(port, "127.0.0.1")
  socket.on("connect", () => socket.end() && response.end())
  socket.on("error", () => response.writeHead(503).end())
}).listen(8080)
