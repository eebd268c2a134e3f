/** `banquo` as one file that needs nothing but Node, without the embedded database: what the image holds. */
import type { BuildOptions } from "rolldown"

export default {
  cwd: import.meta.dirname,
  input: "src/main.ts",
  platform: "node",
  resolve: { conditionNames: ["production", "node", "import"] },
  output: { file: "dist/banquo.mjs", codeSplitting: false },
} satisfies BuildOptions
