/** What a disposed variable had is given up. Node only: it asks V8. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Adamax } from "adamax/tfjs";
import { expect, test } from "vitest";
import { backends, tf, use } from "./backends.js";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

const LENGTH = 500_000;

/** Bytes outside of the heap, when all that is garbage has gone. */
const held = async () => {
  for (let i = 0; i < 3; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return process.memoryUsage().external;
};

test.each(backends)("variables that come and go leave nothing of their state behind: %s", async (backend) => {
  await use(backend);
  using optimizer = new Adamax({ useEma: true });
  const trainAnother = (name: string) => {
    const variable = tf.tidy(() => tf.variable(tf.zeros([LENGTH]), true, name));
    const tensor = tf.ones([LENGTH]);
    optimizer.applyGradients([{ name, tensor }]);
    tensor.dispose();
    variable.dispose();
  };
  for (let i = 0; i < 3; i++) trainAnother(`first_${i}`);
  const before = await held();
  for (let i = 0; i < 8; i++) trainAnother(`later_${i}`);
  expect((await held()) - before).toBeLessThan(3 * 4 * LENGTH); // one of them has three arrays of state
});
