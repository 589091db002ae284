import { readdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CheckpointManager, saveCheckpoint } from "adamax/checkpoint";
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

  test("where no number is left, nothing is saved under a name that would not be found again", async () => {
    const path = folder();
    const { optimizer } = trained({}, 1);
    const manager = new CheckpointManager(path);
    const last = "checkpoint-999999999999999.safetensors";
    renameSync(join(path, await manager.save({ optimizer })), join(path, last));
    await expect(manager.save({ optimizer })).rejects.toThrow(`has no number left. Received: ${last}. Rename`);
    expect(readdirSync(path)).toEqual([last]);
  });

  test("options are checked; the best needs its metric", async () => {
    expect(() => new CheckpointManager("x", { keep: 0 })).toThrow("keep of CheckpointManager");
    expect(() => new CheckpointManager("x", { mode: "max" })).toThrow("no best is kept. Received: mode=max. Name a metric: best");
    expect(() => new CheckpointManager("x", { prefix: "../x" })).toThrow("prefix of CheckpointManager");
    const { optimizer } = trained({}, 1);
    expect((await rejection(new CheckpointManager(folder(), { best: "loss" }).save({ optimizer }))).message).toContain(
      "Pass metrics: { loss }",
    );
    expect((await rejection(new CheckpointManager(folder()).loadBest({ optimizer }))).message).toContain(
      "has no metric to choose by",
    );
  });

  test("metrics come back as they were, but for -0; infinity takes part in choosing the best, and NaN does not", async () => {
    const manager = new CheckpointManager(folder(), { keep: 9, best: "a", mode: "max" });
    const { optimizer } = trained({}, 1);
    for (const a of [0.5, Infinity, NaN, -Infinity, -0]) await manager.save({ optimizer, metrics: { a } });
    expect((await manager.list()).map(({ metrics }) => metrics.a)).toEqual([0, -Infinity, NaN, Infinity, 0.5]);
    expect((await manager.loadBest({ optimizer }))?.name).toBe("checkpoint-000002.safetensors");
  });

  test.each([["5"], [5n], [{ b: 1 }], [true], [null], [undefined]])(
    "a metric that is %s is refused, and nothing is saved",
    async (a) => {
      const manager = new CheckpointManager(folder());
      const { optimizer } = trained({}, 1);
      const metrics = { loss: 1, a } as never;
      expect((await rejection(manager.save({ optimizer, metrics }))).message).toMatch(
        /The metric "a" of a checkpoint must be a number/,
      );
      expect(await manager.list()).toEqual([]);
    },
  );

  test.each([[[1]], [new Map([["loss", 1]])], [5]])("metrics in %s, where they would be lost, are refused", async (metrics) => {
    const { optimizer } = trained({}, 1);
    const error = await rejection(new CheckpointManager(folder()).save({ optimizer, metrics: metrics as never }));
    expect(error.message).toMatch(/metrics of saveCheckpoint must be an object of numbers/);
  });

  test.each(["y.keras", "y.weights.h5", "model.JSON", "y.pt", "x.index", "saved_model.pb"])(
    "nothing is saved as %s",
    async (name) => {
      const { optimizer } = trained({}, 1);
      expect((await rejection(saveCheckpoint(join(folder(), name), { optimizer }))).message).toMatch(/Name it ".*\.safetensors"/);
    },
  );
});
