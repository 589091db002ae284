// A worker that takes a part of a step and dies with it.
import { parentPort } from "node:worker_threads";

parentPort.on("message", (message) => {
  if (message.kind === "begin") globalThis.begin = message;
  const { control, thread } = globalThis.begin;
  const own = 16 + thread * 16; // its claims (claims.ts: WORD.threads, WORDS_PER_THREAD); the next word: what it has loaded
  if (message.kind !== "instance") return;
  Atomics.store(control, own + 1, message.instance);
  for (;;) {
    const seen = Atomics.load(control, own);
    if ((seen & 0xffff) < seen >>> 16) {
      Atomics.add(control, own, 1);
      process.exit(7);
    }
  }
});
