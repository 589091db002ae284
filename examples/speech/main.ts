/** `npm start`, and with --quick a short run. */
import { fileURLToPath } from "node:url";
import { demo } from "./demo.ts";

await demo({
  quick: process.argv.includes("--quick"),
  recordings: "repository",
  out: fileURLToPath(new URL("out", import.meta.url)),
});
