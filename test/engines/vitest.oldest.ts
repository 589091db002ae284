/** The tests of adamax/tfjs on the oldest TensorFlow.js of its peer range: `npm run test:engines tfjs-oldest`. */

import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import base from "../../vitest.config.js";

const modules = resolve("test/engines/oldest/node_modules");
const packages = ["tfjs", "tfjs-core", "tfjs-layers", "tfjs-backend-wasm"].map((name) => `@tensorflow/${name}`);
const oldest = packages.map((name) => ({ find: new RegExp(`^${name}(?=$|/)`), replacement: `${modules}/${name}` }));

export default defineConfig({
  ...base,
  resolve: { alias: [...oldest, ...(base.resolve!.alias as object[])] as never },
  test: {
    ...base.test,
    projects: [
      {
        extends: true,
        // Programs of their own start from the built package, which finds the newest.
        test: {
          name: "tfjs-oldest",
          environment: "node",
          include: ["test/tfjs/**/*.test.ts"],
          exclude: ["test/tfjs/checkpoints.test.ts"],
        },
      },
    ],
    env: { TFJS_MODULES: modules },
  },
});
