/** Names of variables in new files of Keras. HDF5 is written in a worker of the built package. */

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type KerasOptions, kerasWeights, readKeras, writeKeras } from "../../dist/checkpoint/index.js";
import { Hdf5Worker } from "../../dist/checkpoint/keras/hdf5.js";
import { CheckpointError, Variable } from "../../dist/index.js";

let worker: Hdf5Worker;
beforeAll(() => {
  worker = new Hdf5Worker();
});
afterAll(() => worker.end());

/** The values of variables of these names: 0, 1, ... */
const modelOf = (...names: string[]) => {
  const variables = names.map((name, i) => new Variable(Float32Array.of(i), { name }));
  return kerasWeights({ variables }, "keras", { worker } as KerasOptions);
};

describe("a name that could not be read again is refused at the door, in words", () => {
  test.each<[string, string[], string]>([
    ["an empty first part", ["/kernel"], 'empty, or "."'],
    ["an empty part", ["dense//kernel"], 'empty, or "."'],
    ["nothing but a slash", ["/"], 'empty, or "."'],
    ["HDF5's word for here", ["dense/./kernel"], 'empty, or "."'],
    ["NUL", ["de\0nse/kernel"], "NUL"],
    ["half of a letter", ["\ud800/kernel"], "half of a letter"],
    ["the place of the optimizer", ["optimizer/vars/0"], "Keras keeps something else under optimizer"],
    ["the place of metrics", ["metrics/mean/vars/0"], "Keras keeps something else under metrics"],
    ["the sign of a whole model", ["model_weights/vars/0"], "Keras keeps something else under model_weights"],
    ["the place of another variable", ["layers/dense/vars/0", "dense/kernel"], "another variable is at its place"],
    ["a place inside another variable", ["dense/vars/0/vars/1", "dense/vars/0"], "another variable is at its place"],
  ])("%s", (_, names, message) => {
    expect(() => modelOf(...names)).toThrow(CheckpointError);
    expect(() => modelOf(...names)).toThrow(message);
  });
});

test("whatever the names are, they are refused at the door, or every value is read again", async () => {
  const part = fc.oneof(
    fc.constantFrom(
      "dense",
      "dense_1",
      "layers",
      "vars",
      "0",
      "1",
      "optimizer",
      "metrics",
      "",
      ".",
      "..",
      "\0",
      "\n",
      "é",
      "__proto__",
    ),
    fc.string({ unit: "binary", maxLength: 3 }),
  );
  const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
  let [refused, read] = [0, 0];
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 4 }), async (names) => {
      let model: ReturnType<typeof modelOf>;
      try {
        model = modelOf(...names);
      } catch (error) {
        expect(error).toBeInstanceOf(CheckpointError);
        refused++;
        return;
      }
      const again = await readKeras(await writeKeras(model, "weights.h5"), { worker } as KerasOptions);
      const values = again.variables.map(({ value }) => Number(value[0]));
      expect(values.sort()).toEqual(names.map((_, i) => i));
      read++;
    }),
    { numRuns: 300, seed: 7 },
  );
  expect(refused).toBeGreaterThan(50);
  expect(read).toBeGreaterThan(50);
});
