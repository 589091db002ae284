/** Trains so many steps, from a checkpoint or from the beginning, and saves one: `checkpoints STEPS FROM TO`, with - for none. */

import { Adamax, Variable } from "adamax";
import { loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import { createMesh, Layout, UNSHARDED } from "adamax/mesh";
import { numbers } from "../../semantics/models.js";
import { digestOf } from "../gradients.js";
import { report } from "../report.js";

const [steps = "0", from = "-", to = "-"] = process.argv.slice(2);
const mesh = await createMesh([["batch", -1]], { timeout: 30_000, shardState: true });
const { rank } = mesh;

const optimizer = new Adamax({
  mesh,
  globalClipnorm: 0.5,
  useEma: true,
  weightDecay: 0.01,
  gradientAccumulationSteps: 2,
  threads: 1,
});
const columns = new Layout([UNSHARDED, "batch"], mesh);
const whole = [
  [50, 1001],
  [3, 7],
  [1, 20_000],
] as const;
const variables = whole.map((shape, i) => {
  const value = numbers("float32", shape[0] * shape[1], i) as Float32Array;
  return i === 1 ? columns.variable(value, { shape, name: "cut" }) : new Variable(value, { shape, name: `w${i}` });
});
optimizer.build(variables);
let error: string | null = null;
if (from !== "-") await loadCheckpoint(from, { optimizer });
const begun = optimizer.iterations;
const calls = Number(optimizer.variables[0]!.value[0]);
for (let call = calls; call < calls + Number(steps); call++) {
  const pairs = variables.map((variable, i) => {
    const gradient = numbers("float32", whole[i]![0] * whole[i]![1], 100 * call + i);
    return [i === 1 ? columns.slice(gradient, whole[i]!) : gradient, variable] as const;
  });
  optimizer.applyGradients(pairs, { weight: rank === 0 ? 1 : 0 }); // the others know nothing: what counts is exactly this gradient
}
if (to !== "-")
  await saveCheckpoint(to, { optimizer, user: { call: calls + Number(steps) }, metrics: { loss: 1 } }).catch(
    (thrown: unknown) => {
      error = `${thrown}`;
    },
  );
const values = await Promise.all(variables.map((variable) => variable.read()));
report(rank, { digest: digestOf(values), begun, error });
