// Ends with 0 if the service in this container is alive. It asks nothing about the database: a restart would not mend that.
import { get } from "node:http"

const request = get({ host: "127.0.0.1", port: process.env.PORT, path: "/livez", timeout: 2000 }, ({ statusCode }) =>
  process.exit(statusCode === 200 ? 0 : 1),
)
request.on("timeout", () => request.destroy(new Error("no answer")))
request.on("error", () => process.exit(1))
