/** Measures steps in a worker, where the page stays alive. The sides take turns, as in npm run bench. */

import { Adamax, Variable, WasmBackend } from "adamax";
import { interleave, type Measurement, ratioOf, type Side, timeOf } from "../../../bench/measure.ts";
import { initialGradient, initialValue } from "../../../bench/model.ts";
import { OURS, steps, THEIRS, type Work } from "../../../bench/tensor-steps.ts";
import { useBackend } from "../backends.ts";
import type { MeasureAnswer, MeasureRequest, SizeResult } from "./protocol.ts";

const CORE = "adamax";

const say = (answer: MeasureAnswer) => self.postMessage(answer);

/** Milliseconds: how finely the clock of a page runs, which is coarser where it is not isolated from others. Less than it would read as no time at all. */
const CLOCK = self.crossOriginIsolated ? 0.005 : 0.1;

/** Nanoseconds, until everything is done that was begun. */
const timed = async (work: Work, repeats: number) => {
  const begin = performance.now();
  for (let k = 0; k < repeats; k++) void work.run();
  await work.done();
  const wall = Math.max(performance.now() - begin, CLOCK) * 1e6;
  return { wall, processor: wall };
};

const sideOf = (name: string, work: Work): Side => ({
  name,
  cores: 1,
  run: (repeats) => timed(work, repeats),
  dispose: () => work.dispose(),
});

const coreWork = (size: number, backend: WasmBackend): Work => {
  const optimizer = new Adamax({ backend });
  const variable = new Variable(initialValue(0, size));
  optimizer.build([variable]);
  variable.gradient.set(initialGradient(0, size));
  return {
    run: () => {
      optimizer.applyGradients([[variable.gradient, variable]]);
    },
    done: async () => {},
    dispose: () => optimizer.dispose(),
  };
};

const resultOf = (size: number, measurement: Measurement): SizeResult => {
  const inMicroseconds = (name: string) => {
    const { low, median, high } = timeOf(measurement, name);
    return { low: low / 1000, median: median / 1000, high: high / 1000 };
  };
  const side = (name: string) => ({ microseconds: inMicroseconds(name), ratio: ratioOf(measurement, THEIRS, name) });
  return { size, theirs: inMicroseconds(THEIRS), adapter: side(OURS), core: side(CORE) };
};

const measureAll = async ({ backend, threads, sizes, seconds }: MeasureRequest) => {
  await useBackend(backend, threads);
  const wasm = new WasmBackend({ threads: threads ? "auto" : 1 });
  say({ kind: "started", says: wasm.why });
  for (const size of sizes) {
    const model = { tensors: 1, size };
    const sides = [sideOf(OURS, steps(model, OURS)), sideOf(THEIRS, steps(model, THEIRS)), sideOf(CORE, coreWork(size, wasm))];
    await new Promise((done) => setTimeout(done, 50)); // threads start
    const measurement = await interleave(sides, { seconds, mostRounds: 40 });
    for (const side of sides) await side.dispose?.();
    say({ kind: "size", result: resultOf(size, measurement) });
  }
  wasm.dispose();
  say({ kind: "done" });
};

export const measure = (request: MeasureRequest): void => {
  measureAll(request).catch((error: Error) => say({ kind: "failed", message: error.message }));
};
