/** `npm start`, and with --quick a short run. */
import { fileURLToPath } from "node:url";
import { demo } from "./demo.ts";

await demo({ quick: process.argv.includes("--quick"), out: fileURLToPath(new URL("out", import.meta.url)) });
