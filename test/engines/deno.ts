/** For Vitest's worker threads in Deno: at their end they take their listeners away, by a method of Node's that is not there. They end without it. */

import { parentPort } from "node:worker_threads";

if (parentPort) parentPort.removeAllListeners = () => parentPort!;
