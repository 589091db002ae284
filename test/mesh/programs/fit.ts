/** `fit` on each rank's part of the data: `fit SCENARIO`. Without mpirun, on all of it. */

import { Adamax, earlyStopping, fit, Variable } from "adamax";
import { createMesh } from "adamax/mesh";
import { report } from "../report.js";

const [scenario = "whole"] = process.argv.slice(2);
const mesh = await createMesh([["batch", -1]], { timeout: 30_000, shardState: true });
const { rank, size } = mesh;
const isFaulty = rank === 1;

/** y = 3 x0 - 2 x1, in batches of 8 examples. Each rank has a part of each; the last rank has nothing of the last two batches. */
const examples = Array.from({ length: 64 }, (_, i) => {
  const x = [Math.sin(i), Math.cos(3 * i)] as const;
  return { x, y: 3 * x[0] - 2 * x[1] };
});
const BATCH = 8;
const batches = Array.from({ length: examples.length / BATCH }, (_, b) => {
  const batch = examples.slice(b * BATCH, (b + 1) * BATCH);
  const ranks = b >= 6 && size > 1 ? size - 1 : size;
  return rank < ranks ? batch.slice(Math.floor((BATCH * rank) / ranks), Math.floor((BATCH * (rank + 1)) / ranks)) : [];
}).filter((part) => part.length > 0);

const w = new Variable(Float64Array.of(0, 0), { name: "w" });
const optimizer = new Adamax({ mesh, learningRate: 0.2, useEma: true, emaMomentum: 0.5 });
let calls = 0;
const controller = new AbortController();
const measure = (part: typeof examples) => {
  const gradient = new Float64Array(2);
  let loss = 0;
  for (const { x, y } of part) {
    const error = w.value[0]! * x[0] + w.value[1]! * x[1] - y;
    loss += error ** 2 / part.length;
    for (const k of [0, 1] as const) gradient[k]! += (2 * error * x[k]) / part.length;
  }
  return { loss, gradients: [[gradient, w] as const], weight: part.length };
};
let error: unknown = null;
const lines: string[] = [];
const history = await fit(
  {
    optimizer,
    data: async function* () {
      for (const part of batches) {
        if (scenario === "data throws" && isFaulty && calls === 10) throw new RangeError("no more data on this disk");
        yield part;
      }
    },
    loss: async (part: typeof examples) => {
      calls++;
      if (scenario === "loss throws" && isFaulty && calls === 10) throw new RangeError("the loss of one rank");
      if (scenario === "signal" && isFaulty && calls === 10) controller.abort();
      return measure(part);
    },
    metrics: { root: (_, { loss }) => Math.sqrt(loss) },
    validation: { data: batches.slice(0, 1), loss: (part: typeof examples) => measure(part) },
    callbacks: [
      earlyStopping({ monitor: "valLoss", minDelta: 0.02, patience: 2 }),
      {
        onBatchEnd: ({ epoch, batch }, training) => {
          if (scenario === "stop" && isFaulty && epoch === 2 && batch === 3) training.stop();
          if (scenario === "callback throws" && isFaulty && epoch === 2 && batch === 3) throw new RangeError("a callback");
        },
      },
    ],
    epochs: 40,
    progress: "lines",
    signal: controller.signal,
  },
  { clock: () => performance.now(), terminal: { write: (text) => void lines.push(text), isTTY: false, columns: 80 } },
).catch((thrown: unknown) => {
  error = `${thrown}`;
  return null;
});
const epochs = history?.epochs.map(({ seconds: _, ...numbers }) => numbers) ?? [];
report(rank, {
  epochs,
  stoppedBy: history?.stoppedBy,
  error,
  lines: lines.length,
  w: [...w.value],
  iterations: optimizer.iterations,
});
