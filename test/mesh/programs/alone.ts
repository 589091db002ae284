/** What one rank alone does or refuses, in a folder: `alone FOLDER`. Each rank reports what it was told, by scenario, and whether the ranks went on together. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Adamax, type Constraint, constraints, fit, type History, Variable } from "adamax";
import { CheckpointManager, loadCheckpoint, type SaveOptions, saveCheckpoint } from "adamax/checkpoint";
import { createMesh, Layout } from "adamax/mesh";
import { report } from "../report.js";

console.warn = () => {};
const [folder = ""] = process.argv.slice(2);
const mesh = await createMesh([["batch", -1]], { timeout: 20_000, shardState: true });
const { rank } = mesh;
const isOdd = rank === 1;
const ELEMENTS = 9000; // more than one rank's share

const made = () => ({
  optimizer: new Adamax({ mesh, useEma: true }),
  variables: ["a", "b"].map((name) => new Variable(new Float32Array(ELEMENTS).fill(1), { name })) as [Variable, Variable],
});
type Made = ReturnType<typeof made>;
const pairs = ({ variables }: Made) => variables.map((variable) => [new Float32Array(ELEMENTS).fill(2), variable] as const);
const built = (): Made => {
  const one = made();
  one.optimizer.applyGradients(pairs(one));
  return one;
};
const loss = (one: Made) => ({ loss: 1, gradients: pairs(one) });
const mine = (): never => {
  throw new RangeError("mine");
};
const saved = async (): Promise<Made & { file: string }> => {
  const one = built();
  const file = join(folder, "saved.safetensors");
  await saveCheckpoint(file, one);
  return { ...one, file };
};
const trained = (one: Made, options: object): Promise<History> =>
  fit({ optimizer: one.optimizer, data: [1, 2], loss: () => loss(one), progress: "none", ...options });

const scenarios: Readonly<Record<string, () => unknown>> = {
  "build of no list": () => {
    const { optimizer, variables } = made();
    optimizer.build(isOdd ? (7 as never) : variables);
  },
  "progress of build throws": () => {
    const { optimizer, variables } = made();
    optimizer.build(variables, { onProgress: () => isOdd && mine() });
  },
  "build again": () => {
    const one = built();
    const other = made();
    (isOdd ? one : other).optimizer.build(other.variables);
  },
  "extend by one twice": () => {
    const { optimizer, variables } = built();
    optimizer.extend(isOdd ? variables : [new Variable(new Float32Array(3))]);
  },
  "a constraint throws": () => {
    const { optimizer } = made();
    const constraint: Constraint = (value) => (isOdd ? mine() : value);
    const w = new Variable(Float32Array.of(1), { name: "w", constraint });
    for (let i = 0; i < 2; i++) optimizer.applyGradients([[Float32Array.of(1), w]]); // elsewhere the first one is made
  },
  "minimize throws": () => {
    const one = built();
    one.optimizer.minimize(() => (isOdd ? mine() : loss(one)));
  },
  "minimize rejects": () => {
    const one = built();
    return one.optimizer.minimize(async () => (isOdd ? mine() : loss(one)));
  },
  "minimize of no number": () => {
    const one = built();
    one.optimizer.minimize(() => (isOdd ? ({} as never) : loss(one)));
  },
  "averages of another variable": () => {
    const { optimizer, variables } = built();
    optimizer.finalizeVariableValues(isOdd ? made().variables : variables);
  },
  "averages begun for another variable": () => {
    const { optimizer, variables } = built();
    optimizer.resetAverages(isOdd ? made().variables : variables);
  },
  "swapped after dispose": () => {
    const { optimizer } = built();
    if (isOdd) optimizer.dispose();
    optimizer.swapAverages();
  },
  "own variables that are too few": () => {
    const { optimizer } = built();
    const store = optimizer.saveOwnVariables();
    if (isOdd) delete store["2"];
    optimizer.loadOwnVariables(store);
  },
  "own variables loaded": () => {
    const one = built();
    const store = one.optimizer.saveOwnVariables();
    if (isOdd) one.optimizer.loadOwnVariables(store);
    else one.optimizer.applyGradients(pairs(one));
  },
  "save with an unknown option": () => {
    const { optimizer } = built();
    return saveCheckpoint(join(folder, "x.safetensors"), { optimizer, ...(isOdd ? { other: 1 } : {}) });
  },
  "save what is no JSON": () => {
    const { optimizer } = built();
    return saveCheckpoint(join(folder, "x.safetensors"), { optimizer, user: isOdd ? { mine } : null } as unknown as SaveOptions);
  },
  "progress of save throws": () => {
    const { optimizer } = built();
    return saveCheckpoint(join(folder, "x.safetensors"), { optimizer, onProgress: () => isOdd && mine() });
  },
  "another list to save": () => {
    const { optimizer, variables } = built();
    const more = isOdd ? [new Variable(new Float32Array(3), { name: "c" })] : [];
    return saveCheckpoint(join(folder, "x.safetensors"), { optimizer, variables: [...variables, ...more] });
  },
  "load with an unknown option": async () => {
    const { optimizer, file } = await saved();
    await loadCheckpoint(file, { optimizer, ...(isOdd ? { other: 1 } : {}) });
  },
  "load what does not fit": async () => {
    const { optimizer, file } = await saved();
    await loadCheckpoint(file, { optimizer, onlyInFile: isOdd ? ["c"] : [] });
  },
  "load into a new one what does not fit": async () => {
    const { file } = await saved();
    const variables = ["a", isOdd ? "c" : "b"].map((name) => new Variable(new Float32Array(ELEMENTS), { name }));
    await loadCheckpoint(file, { optimizer: Adamax, options: { mesh }, variables });
  },
  "load that breaks off": async () => {
    const { optimizer, file } = await saved();
    let seen = 0;
    const onProgress = ({ bytes }: { bytes: number }) => {
      if (isOdd && bytes < seen) mine(); // it was read once to check it
      seen = bytes;
    };
    await loadCheckpoint(file, { optimizer, onProgress });
  },
  "manager without its metric": () => {
    const manager = new CheckpointManager(folder, { best: "loss" });
    return manager.save({ ...built(), metrics: isOdd ? {} : { loss: 1 } });
  },
  "manager whose folder is a file": () => {
    const file = join(folder, `file-${rank}`);
    writeFileSync(file, "");
    return new CheckpointManager(isOdd ? file : folder).loadNewest(built());
  },
  "manager that knows no best": async () => {
    const place = join(folder, "best");
    mkdirSync(place, { recursive: true });
    await new CheckpointManager(place, isOdd ? {} : { best: "loss" }).loadBest(built());
  },
  "fit with an unknown option": () => trained(made(), isOdd ? { other: 1 } : {}),
  "fit of more epochs": () => trained(made(), { epochs: isOdd ? 3 : 2 }),
  "fit with validation": () => trained(made(), isOdd ? { validation: { data: [1], loss: () => 1 } } : {}),
  "fit with checkpoints": () => trained(built(), isOdd ? { checkpoints: new CheckpointManager(join(folder, "fit")) } : {}),
  "fit whose checkpoint's user throws": () => {
    const user = () => isOdd && mine();
    return trained(built(), { checkpoints: { manager: new CheckpointManager(join(folder, "fit")), user } });
  },
  "fit with callbacks": async () => {
    const { epochs } = await trained(made(), { callbacks: isOdd ? [{ onBatchEnd() {} }] : [] });
    return epochs.length === 1 ? "no error" : "epochs are missing";
  },
  "fit resumed behind the last batch": async () => {
    const killedAfter = async (batches: number, place: string) => {
      const { optimizer, variables } = made();
      const [{ value }] = variables;
      const onBatchEnd = () => {
        if (--batches === 0) throw new RangeError("killed");
      };
      await fit({
        optimizer,
        data: isOdd ? [1] : [1, 2, 3],
        loss: (batch) => ({ loss: 1, gradients: variables.map((variable) => [value.map((x) => x + batch), variable] as const) }),
        epochs: 2,
        callbacks: [{ onBatchEnd }],
        checkpoints: { manager: new CheckpointManager(join(folder, place)), variables, everyBatches: 1 },
        progress: "none",
      });
      return JSON.stringify([optimizer.iterations, ...variables.map((variable) => [...variable.value])]);
    };
    const never = await killedAfter(Infinity, "never");
    await killedAfter(6, "killed").catch(() => {});
    if ((await killedAfter(Infinity, "killed")) !== never) throw new Error("other bits");
  },
  "state read": () => {
    const one = built();
    if (isOdd) one.optimizer.variables.map(({ value }) => value);
    else one.optimizer.applyGradients(pairs(one));
  },
  "a cut variable read": async () => {
    const one = built();
    const cut = new Layout(["batch"], mesh).variable(new Float32Array(7), { shape: [7], name: "cut" });
    one.optimizer.extend([cut]);
    if (isOdd) await cut.read();
    else one.optimizer.applyGradients(pairs(one));
  },
  "no gradients given": () => {
    const one = built();
    one.optimizer.applyGradients(isOdd ? [] : pairs(one));
    if (isOdd) one.optimizer.swapAverages();
  },
  "another move of averages": () => {
    const { optimizer } = built();
    if (isOdd) optimizer.swapAverages();
    else optimizer.finalizeVariableValues();
  },
  "constrained on one": () => {
    const { optimizer } = made();
    optimizer.build([new Variable(new Float32Array(3), { name: "c", ...(isOdd ? { constraint: constraints.nonNeg() } : {}) })]);
  },
  "decay taken from one later": () => {
    const [optimizer, w] = [new Adamax({ mesh, weightDecay: 0.1 }), new Variable(new Float32Array(3), { name: "w" })];
    if (isOdd) optimizer.excludeFromWeightDecay({ variables: [w] });
    optimizer.applyGradients([[new Float32Array(3), w]]);
  },
  "networks that are alike, in another order": () => {
    const [one, other] = [built(), built()];
    for (const each of isOdd ? [other, one] : [one, other]) each.optimizer.applyGradients(pairs(each));
  },
  "alike, read in another order": async () => {
    const layout = new Layout(["batch"], mesh);
    const cut = [0, 1].map((i) => layout.variable(new Float32Array(4).fill(i), { shape: [4], name: "layer:w" }));
    made().optimizer.build(cut);
    for (const variable of isOdd ? cut.reverse() : cut) await variable.read();
  },
  "slots read in another order": () => {
    const slots = built().optimizer.variables.slice(-2);
    for (const { value } of isOdd ? slots.reverse() : slots) value.slice();
  },
  "fit with metrics of other names": () => {
    const [first, second] = isOdd ? ["b", "a"] : ["a", "b"];
    return trained(made(), { metrics: { [first!]: () => 1, [second!]: () => 2 } });
  },
  "optimizers in another order": () => {
    const [one, other] = [made(), made()];
    const last = new Variable(new Float32Array(ELEMENTS), { name: "last" });
    one.optimizer.build([last]);
    other.optimizer.build(other.variables.slice(1));
    const steps = [
      () => one.optimizer.applyGradients([[new Float32Array(ELEMENTS), last]]),
      () => other.optimizer.applyGradients(pairs(other).slice(1)),
    ];
    for (const step of isOdd ? steps.reverse() : steps) step();
  },
};

const attempt = async (run: () => unknown): Promise<string> => {
  try {
    await run();
    return "no error";
  } catch (error) {
    return `${error}`;
  }
};
const told: Record<string, [message: string, goesOn: boolean]> = {};
for (const [name, run] of Object.entries(scenarios)) {
  const message = await attempt(run);
  const variable = new Variable(Float32Array.of(rank, 1), { name: "after" });
  const afterwards = await attempt(() => new Adamax({ mesh }).applyGradients([[Float32Array.of(1, rank), variable]]));
  told[name] = [message, afterwards === "no error" && variable.value[0]! < 0];
}
report(rank, told);
