/** Worker threads in a page that is cross-origin isolated. */

import { Adamax, Variable, WasmBackend } from "adamax";
import { expect, test } from "vitest";

const SIZE = 1_200_000;
const STEPS = 40;
const pause = () => new Promise((done) => setTimeout(done, 10));

/** In the pauses, workers start and get what was compiled since. */
const train = async (backend: WasmBackend): Promise<Float32Array> => {
  const w = new Variable(new Float32Array(SIZE));
  using optimizer = new Adamax({ backend, globalClipnorm: 1 });
  for (let step = 0; step < STEPS; step++) {
    if (step === 0) optimizer.build([w]);
    w.gradient.fill((step % 7) - 3);
    optimizer.applyGradients([[w.gradient, w]]);
    await pause();
  }
  return w.value.slice();
};

test("two threads share steps in a page, and give the bits of one", async () => {
  expect(crossOriginIsolated).toBe(true);
  const two = new WasmBackend({ threads: 2 });
  const one = new WasmBackend({ threads: 1 });
  await train(two); // the workers are there after this one
  const before = two.sharedPasses;
  const shared = await train(two);
  expect(two.sharedPasses).toBeGreaterThan(before);
  expect(two.why).toContain("2 threads");
  const alone = await train(one);
  expect(shared.every((value, i) => Object.is(value, alone[i]))).toBe(true);
  two.dispose();
}, 60_000);
