import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Adamax, earlyStopping, fit, schedules, Variable } from "adamax";
import { CheckpointManager, checkpoints, type TrainingPlace } from "adamax/checkpoint";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { folder, rejection, trained } from "./helpers.js";
import { everything } from "./steps.js";

beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
afterEach(() => vi.restoreAllMocks());

const numbers = (path: string) =>
  readdirSync(path)
    .map((name) => Number(/-0*(\d+)\.safetensors$/.exec(name)?.[1]))
    .sort((a, b) => a - b);
const damage = (file: string) => truncateSync(file, readFileSync(file).length - 1);

describe("CheckpointManager", () => {
  test("keeps the newest and the best, and deletes the others", async () => {
    const path = join(folder(), "run"); // made by the first saving
    const manager = new CheckpointManager(path, { keep: 2, best: "valLoss" });
    const { optimizer } = trained({}, 1);
    for (const valLoss of [0.9, 0.2, 0.5, NaN, 0.4, 0.3]) await manager.save({ optimizer, metrics: { valLoss } });
    expect(numbers(path)).toEqual([2, 5, 6]);
    expect((await manager.list()).map(({ number, metrics }) => [number, metrics.valLoss])).toEqual([
      [6, 0.3],
      [5, 0.4],
      [2, 0.2],
    ]);
    expect((await manager.loadBest({ optimizer }))?.name).toBe("checkpoint-000002.safetensors");
    await manager.save({ optimizer, metrics: { valLoss: 0.1 } });
    expect(numbers(path)).toEqual([6, 7]);
  });

  test("mode max: more is better", async () => {
    const path = folder();
    const manager = new CheckpointManager(path, { keep: 1, best: "accuracy", mode: "max" });
    const { optimizer } = trained({}, 1);
    for (const accuracy of [0.5, 0.8, 0.7, 0.6]) await manager.save({ optimizer, metrics: { accuracy } });
    expect(numbers(path)).toEqual([2, 4]);
  });

  test("finds the newest that is whole, and says which are not", async () => {
    const path = folder();
    const manager = new CheckpointManager(path);
    const { optimizer, variables } = trained({}, 1);
    const { optimizer: other, variables: others } = trained({}, 0);
    expect(await manager.loadNewest({ optimizer: other })).toBeNull();
    const names: string[] = [];
    for (let i = 0; i < 3; i++) names.push(await manager.save({ optimizer, user: i }));
    damage(join(path, names[2]!));
    const bytes = readFileSync(join(path, names[1]!));
    bytes[bytes.length - 200]! ^= 1; // in a tensor: the header is whole
    writeFileSync(join(path, names[1]!), bytes);
    const found = await manager.loadNewest({ optimizer: other });
    expect([found?.name, found?.user, found?.skipped.map(({ name }) => name)]).toEqual([names[0], 0, [names[2], names[1]]]);
    expect(everything(other, others)).toEqual(everything(optimizer, variables));
    damage(join(path, names[0]!));
    expect((await rejection(manager.loadNewest({ optimizer: other }))).message).toContain(
      "Every checkpoint of the folder is damaged",
    );
  });

  test("the newest that is whole and does not fit is an error, not an older one", async () => {
    const manager = new CheckpointManager(folder());
    await manager.save({ optimizer: trained({}, 1).optimizer });
    await manager.save({ optimizer: trained({ beta1: 0.5 }, 1).optimizer });
    expect((await rejection(manager.loadNewest({ optimizer: trained({}, 0).optimizer }))).message).toContain(
      "beta_1: 0.5 in the file",
    );
  });

  test("damaged files do not count among those that are kept, and go when they are old", async () => {
    const path = folder();
    const manager = new CheckpointManager(path, { keep: 2 });
    const { optimizer } = trained({}, 1);
    for (let i = 0; i < 2; i++) await manager.save({ optimizer });
    damage(join(path, "checkpoint-000002.safetensors"));
    await manager.save({ optimizer });
    expect(numbers(path)).toEqual([1, 2, 3]); // 1 and 3 are whole
    await manager.save({ optimizer });
    expect(numbers(path)).toEqual([3, 4]);
  });

  test("files of other names are left alone; prefixes part a folder", async () => {
    const path = folder();
    writeFileSync(join(path, "checkpoint-1.txt"), "");
    const { optimizer } = trained({}, 1);
    const [a, b] = ["a", "b"].map((prefix) => new CheckpointManager(path, { keep: 1, prefix }));
    for (const manager of [a!, b!, a!, b!]) await manager.save({ optimizer });
    expect(readdirSync(path).sort()).toEqual(["a-000002.safetensors", "b-000002.safetensors", "checkpoint-1.txt"]);
  });

  test("options are checked; the best needs its metric", async () => {
    expect(() => new CheckpointManager("x", { keep: 0 })).toThrow("keep of CheckpointManager");
    expect(() => new CheckpointManager("x", { prefix: "../x" })).toThrow("prefix of CheckpointManager");
    const { optimizer } = trained({}, 1);
    expect((await rejection(new CheckpointManager(folder(), { best: "loss" }).save({ optimizer }))).message).toContain(
      "Pass metrics: { loss }",
    );
    expect((await rejection(new CheckpointManager(folder()).loadBest({ optimizer }))).message).toContain(
      "has no metric to choose by",
    );
  });
});

describe("checkpoints, the callback of fit", () => {
  const batches = [1, 2, 3, 4];
  const training = (epochs: number, w: Variable, optimizer: Adamax, callbacks: Parameters<typeof fit>[0]["callbacks"] & object) =>
    fit({
      optimizer,
      data: batches,
      loss: (x: number) => ({
        loss: (w.value[0]! * x - 3) ** 2,
        gradients: [[Float32Array.of(2 * x * (w.value[0]! * x - 3)), w]] as const,
      }),
      validation: { data: batches, loss: (x) => (w.value[0]! * x - 3) ** 2 },
      epochs,
      callbacks: [...callbacks],
      progress: "none",
    });
  const make = () => ({
    w: new Variable(Float32Array.of(0), { name: "w" }),
    optimizer: new Adamax({
      learningRate: new schedules.ExponentialDecay({ initialLearningRate: 0.1, decaySteps: 5, decayRate: 0.9 }),
    }),
  });

  test("a training that is resumed from an epoch's checkpoint ends with the bits of one that never stopped", async () => {
    const manager = new CheckpointManager(folder(), { best: "valLoss" });
    const straight = make();
    await training(6, straight.w, straight.optimizer, []);
    const first = make();
    await training(4, first.w, first.optimizer, [checkpoints(manager), earlyStopping({ patience: 9 })]);
    const second = make();
    const found = (await manager.loadNewest({ optimizer: second.optimizer, variables: [second.w] }))!;
    const { epoch } = found.user as unknown as TrainingPlace;
    expect([epoch, Object.keys(found.metrics)]).toEqual([4, ["loss", "valLoss"]]);
    await training(6 - epoch, second.w, second.optimizer, []);
    expect(everything(second.optimizer, [second.w])).toEqual(everything(straight.optimizer, [straight.w]));
  });

  test("everyEpochs, everyBatches, user", async () => {
    const manager = new CheckpointManager(folder(), { keep: 99 });
    const { w, optimizer } = make();
    await training(4, w, optimizer, [checkpoints(manager, { everyEpochs: 2, everyBatches: 3, user: () => ({ seed: 7 }) })]);
    expect((await manager.list()).map(({ iterations }) => iterations)).toEqual([16, 15, 11, 8, 7, 3]);
    const found = await manager.loadNewest({ optimizer });
    expect(found?.user).toEqual({ epoch: 4, batch: null, own: { seed: 7 } });
  });

  test("an optimizer of another library is refused", async () => {
    const callback = checkpoints(new CheckpointManager(folder()));
    expect((await rejection(callback.onEpochEnd({ epoch: 1, loss: 0 }, { optimizer: {} }))).message).toContain(
      "Checkpoints are made of optimizers of this library",
    );
  });
});
