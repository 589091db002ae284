/** Gradients of every rank, reduced in each way. Each rank reports the bits that it has then. */

import { createMesh } from "adamax/mesh";
import type { Values } from "../../../src/backend.js";
import { factorsOf } from "../../../src/backends/ranks/windows.js";
import { Reduction } from "../../../src/mesh/reduction.js";
import { digest, gradientsOf, MODEL, ONE_BLOCK } from "../gradients.js";
import { report } from "../report.js";

const mesh = await createMesh([["batch", -1]], { timeout: 30_000 });
const group = mesh.group(["batch"]);
const { rank, size } = group;
const reduction = new Reduction(group, MODEL);
const { share } = reduction;
const everywhere = { everywhere: true, label: "gradients" };
const ones = new Float64Array(size).fill(1);
const mean = factorsOf(ones, false)!;

/** The arrays side by side in one memory, as a backend has them. */
const inOneMemory = (arrays: readonly Values[]): Values[] => {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 64, shared: true });
  let place = 4096;
  return arrays.map((values) => {
    const view = new (values.constructor as Float32ArrayConstructor)(memory.buffer, place, values.length);
    view.set(values);
    place += Math.ceil(values.byteLength / 64) * 64;
    return view;
  });
};

const bits: Record<string, string> = {};
for (const [name, place] of [
  ["in one memory", inOneMemory],
  ["each in its own", (arrays: Values[]) => arrays],
] as const) {
  const inPlace = place(gradientsOf(rank));
  reduction.sumInRankOrder(inPlace, inPlace, mean, everywhere);
  bits[`mean, ${name}`] = digest(inPlace);

  const from = place(gradientsOf(rank));
  const into = place(gradientsOf(99));
  const before = digest(from);
  reduction.sumInRankOrder(from, into, ones, everywhere);
  bits[`sum, ${name}, into others`] = digest(into);
  bits[`the gradients, ${name}, after that`] = digest(from) === before ? "untouched" : "changed";

  const shared = place(gradientsOf(rank));
  reduction.sumInRankOrder(shared, shared, mean, { everywhere: false, label: "gradients" });
  bits[`mean, ${name}, own share`] = digest(shared, share);
  reduction.allgather(shared, "values");
  bits[`mean, ${name}, shares gathered`] = digest(shared);
}

const tiny = gradientsOf(rank, ONE_BLOCK); // of which all ranks but one own nothing
new Reduction(group, ONE_BLOCK).sumInRankOrder(tiny, tiny, mean, everywhere);
bits["a model of one block"] = digest(tiny);

const weighted = gradientsOf(rank);
if (rank === size - 1 && size > 1) for (const values of weighted) values.fill(Number.NaN); // it has no examples
const weights = Array.from({ length: size }, (_, r) => (r === size - 1 && size > 1 ? 0 : 10 + r));
reduction.sumInRankOrder(weighted, weighted, factorsOf(weights, false)!, everywhere);
bits.weighted = digest(weighted);
report(rank, { bits, share });
