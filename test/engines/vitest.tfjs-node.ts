/** The tests of adamax/tfjs with tfjs-node as TensorFlow.js' backend: `npm run test:engines tfjs-node`. */

import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import base from "../../vitest.config.js";

const modules = resolve("test/engines/tfjs-node/node_modules");

export default defineConfig({
  ...base,
  resolve: {
    alias: [
      { find: /^@tensorflow\/(?=tfjs)/, replacement: `${modules}/@tensorflow/` },
      ...(base.resolve!.alias as object[]),
    ] as never,
  },
  test: {
    ...base.test,
    projects: [
      {
        extends: true,
        test: { name: "tfjs-node", environment: "node", include: ["test/tfjs/**/*.test.ts", "test/engines/tfjs-node.test.ts"] },
      },
    ],
    env: { ADAMAX_ENGINE: "tfjs-node", TFJS_MODULES: modules, TF_CPP_MIN_LOG_LEVEL: "3" },
  },
});
