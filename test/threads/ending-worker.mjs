// A worker of which the second ends as soon as it knows who it is; the other never takes a part of a step.
import { parentPort } from "node:worker_threads";

parentPort.on("message", (message) => {
  if (message.kind === "begin" && message.thread === 2) process.exit(3);
});
