/** A training that goes on where it was killed: `resumed FOLDER EPOCHS MILLISECONDS [TIMEOUT]`, so many between two batches. */

import { Adamax, fit, schedules, Variable } from "adamax";
import { CheckpointManager } from "adamax/checkpoint";
import { createMesh, Layout, UNSHARDED } from "adamax/mesh";
import { numbers } from "../../semantics/models.js";
import { digestOf } from "../gradients.js";
import { report } from "../report.js";

const [folder = "", epochs = "3", milliseconds = "0", timeout = "30000"] = process.argv.slice(2);
const mesh = await createMesh([["batch", -1]], { timeout: Number(timeout), shardState: true });
const { rank } = mesh;
const learningRate = new schedules.ExponentialDecay({ initialLearningRate: 0.01, decaySteps: 10, decayRate: 0.9 });
const optimizer = new Adamax({ mesh, learningRate, globalClipnorm: 0.5, useEma: true, threads: 1 });
const shape = [11, 1001] as const;
const value = numbers("float32", 11_011, 1) as Float32Array;
const columns = new Layout([UNSHARDED, "batch"], mesh);
const variables = [new Variable(value, { shape, name: "whole" }), columns.variable(value, { shape, name: "cut" })] as const;
const history = await fit({
  optimizer,
  data: (epoch) => Array.from({ length: 10 }, (_, batch) => 100 * epoch + batch),
  loss: async (seed) => {
    if (milliseconds !== "0") await new Promise((resolve) => setTimeout(resolve, Number(milliseconds)));
    const part = numbers("float32", 11_011, 10 * seed + rank) as Float32Array; // each rank has its own part of the batch
    const cut = columns.slice(numbers("float32", 11_011, 10 * seed) as Float32Array, shape);
    return {
      loss: Math.hypot(...part.subarray(0, 100)),
      gradients: [
        [part, variables[0]],
        [cut, variables[1]],
      ],
      weight: 1 + rank,
    };
  },
  epochs: Number(epochs),
  checkpoints: { manager: new CheckpointManager(folder), variables, everyBatches: 3 },
  progress: "none",
});
const epochsOf = history.epochs.map(({ seconds: _, ...numbers }) => numbers);
report(rank, {
  digest: digestOf([await variables[0].read(), await variables[1].read()]),
  epochs: epochsOf,
  from: history.resumedFrom ?? null,
});
