// Says that it is ready, and never answers: what a damaged file could do to native code.
import { parentPort } from "node:worker_threads";

parentPort.on("message", () => {
  for (;;);
});
parentPort.postMessage({ kind: "ready", text: "" });
