// Answers late, and needs no processor until then: as a worker that waits for its turn on a busy machine.
import { parentPort } from "node:worker_threads";

parentPort.on("message", () => setTimeout(() => parentPort.postMessage({ kind: "failed", text: "late" }), 800));
parentPort.postMessage({ kind: "ready", text: "" });
