/** Callbacks that are ready to use, and what a callback may be. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  Adamax,
  type Callback,
  earlyStopping,
  fit,
  logEpochs,
  reduceLROnPlateau,
  schedules,
  terminateOnNaN,
  Variable,
} from "adamax";
import { CheckpointManager } from "adamax/checkpoint";
import { checkpoints } from "adamax/tfjs";
import { expect, test } from "vitest";
import { OptionError } from "../../src/errors.js";
import { folder } from "../checkpoint/helpers.js";

/** A training of one step an epoch, whose validation gives these values. The weight after epoch k is k. */
const setting = (values: readonly number[], learningRate: number | InstanceType<typeof schedules.CosineDecay> = 1) => {
  const w = new Variable(Float32Array.of(0), { name: "w" });
  const optimizer = new Adamax({ learningRate });
  const rates: number[] = [];
  const run = (callbacks: Callback[], more: object = {}) =>
    fit({
      optimizer,
      data: [1],
      loss: (_: number) => {
        return { loss: values[rates.length] ?? 0, gradients: [[Float32Array.of(1), w]] as const, certain: 0.25 * rates.length };
      },
      epochs: values.length,
      validation: { data: (epoch) => [values[epoch - 1]!], loss: (value) => ({ loss: value }) },
      callbacks: [
        ...callbacks,
        {
          onEpochEnd: ({ epoch }) => {
            w.value.fill(epoch);
            rates.push(optimizer.learningRate);
          },
        },
      ],
      progress: "none",
      ...more,
    });
  return { w, optimizer, rates, run };
};

interface Row {
  readonly callback: "EarlyStopping" | "ReduceLROnPlateau";
  readonly options: Readonly<Record<string, never>>;
  readonly values: readonly number[];
  readonly epochs?: number;
  readonly weights?: number;
  readonly rates?: readonly number[];
}
const { rows } = JSON.parse(readFileSync("fixtures/callbacks.json", "utf8")) as { rows: Row[] };
const camelCased = (options: Row["options"]) =>
  Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value]),
  );

test("early stopping stops where Keras' does, and restores the weights of the same epoch", async () => {
  for (const { options, values, epochs, weights } of rows.filter(({ callback }) => callback === "EarlyStopping")) {
    const { w, run } = setting(values);
    // Keras saves weights as they are at the end of the epoch; here they are set by the callback before.
    const stopper = earlyStopping(camelCased(options));
    const { epochs: trained } = await run([{ onEpochEnd: ({ epoch }) => void w.value.fill(epoch) }, stopper]);
    expect([trained.length, w.value[0]]).toEqual([epochs, weights]);
  }
});

test("early stopping lets the first epoch pass, as Keras' does", async () => {
  const { run } = setting([Number.NaN, 3, 4, 2]);
  expect((await run([earlyStopping()])).epochs).toHaveLength(3);
});

test("a plateau lowers the rate when and as far as Keras' does", async () => {
  for (const { options, values, rates: expected } of rows.filter(({ callback }) => callback === "ReduceLROnPlateau")) {
    const { rates, run } = setting(values);
    await run([reduceLROnPlateau(camelCased(options))]);
    expect(rates).toEqual(expected);
  }
});

test.each([
  ["valLoss", [3, 2, 2, 1], 3],
  ["certain", [3, 2, 2, 1], 2],
  ["valCertain", [1, 1, 1, 1], 2],
])("early stopping monitors %s", async (monitor, values, epochs) => {
  const { run } = setting(values);
  const history = await run([earlyStopping({ monitor, mode: "min" })], {
    metrics: { certain: (_: number, { certain = 1 }: { certain?: number }) => certain },
  });
  expect(history.epochs).toHaveLength(epochs);
});

test.each(["valAccuracy", "auc"])("more of %s is better without a word", async (monitor) => {
  const values = [0.5, 0.6, 0.4, 1];
  const { run, rates } = setting(values);
  const measure = () => values[rates.length]!;
  const history = await run([earlyStopping({ monitor })], { metrics: { accuracy: measure, auc: measure } });
  expect(history.epochs).toHaveLength(3);
});

test.each([
  ["whether less or more is better must be said", () => earlyStopping({ monitor: "f1" }), /less or more of "f1".*mode: "min"/],
  ["Keras' spelling of a monitor", () => reduceLROnPlateau({ monitor: "val_loss" }), /monitor="val_loss"/],
  ["a factor that raises the rate", () => reduceLROnPlateau({ factor: 1.5 }), /above 0 and below 1.*factor=1.5/],
  ["an unknown option", () => reduceLROnPlateau({ minLR: 0.1 } as never), /Did you mean minLr\?/],
  ["a baseline that is no number", () => earlyStopping({ baseline: "1" as never }), /baseline of earlyStopping/],
])("%s", (_, make, message) => {
  expect(make).toThrow(OptionError);
  expect(make).toThrow(message);
});

test("a monitor that no epoch has is an error that knows what was meant", async () => {
  const metrics = { accuracy: () => 1 };
  const { run } = setting([1, 2]);
  await expect(run([earlyStopping({ monitor: "valAcuracy", mode: "max" })], { metrics })).rejects.toThrow(
    /Did you mean valAccuracy\?/,
  );
});

test("names of metrics are quoted in a CSV log, where they hold what separates them", async () => {
  const lines: string[] = [];
  const { run } = setting([1]);
  const metrics = { "a,b": () => 2, 'say "c"': () => 3 };
  await run([logEpochs((line) => void lines.push(line), { format: "csv" })], { metrics, validation: undefined });
  expect(lines[0]).toBe('epoch,batches,loss,"a,b","say ""c""",learningRate,seconds');
  expect(lines[1]!.split(",").slice(0, 5)).toEqual(["1", "1", "1", "2", "3"]);
});

test("a plateau cannot steer a rate that follows a schedule", async () => {
  const { run, optimizer } = setting([1, 1], new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 10 }));
  await expect(run([reduceLROnPlateau()])).rejects.toThrow(/a learning rate that is a number.*schedule/);
  expect(optimizer.iterations).toBe(0);
});

const refused: [what: string, callback: object, message: RegExp][] = [
  ["a slip in a name", { onEpochend() {} }, /never called. Received: onEpochend. Did you mean onEpochEnd\?/],
  ["Keras' spelling", { on_epoch_end() {} }, /on_epoch_end. Did you mean onEpochEnd\?/],
  ["a name without on", { epochEnd() {} }, /epochEnd. Did you mean onEpochEnd\?/],
  ["an event that there is not", { onBatchBegin() {}, onBatchEnd() {} }, /onBatchBegin. Did you mean onEpochBegin\?/],
  ["a method of another sort", { onBatchEnd() {}, flush() {} }, /never called. Received: flush/],
  ["no method at all", { patience: 3 }, /no method that fit calls/],
  ["something that is not a function", { onEpochEnd: 3 }, /onEpochEnd=3/],
  ["state that is not given back", { onEpochEnd() {}, state: () => 1 }, /both state and restore/],
  [
    "an inherited slip",
    new (class extends class {
      onTrainEnds() {}
    } {})(),
    /onTrainEnds. Did you mean onTrainEnd\?/,
  ],
  ["a callback of TensorFlow.js", checkpoints(new CheckpointManager("x")), /callback of TensorFlow.js.*option checkpoints/],
];
test.each(refused)("%s in a callback is refused before anything happens", async (_, callback, message) => {
  const { run, optimizer } = setting([1]);
  await expect(run([earlyStopping(), callback as Callback])).rejects.toThrow(message);
  await expect(run([callback as Callback])).rejects.toThrow(/^callbacks\[0\] of fit/);
  expect(optimizer.iterations).toBe(0);
});

test("an instance of a class may have methods of its own", async () => {
  class Counter {
    count = 0;
    onEpochEnd() {
      this.bump();
    }
    bump() {
      this.count++;
    }
  }
  const counter = new Counter();
  await setting([1, 2]).run([counter]);
  expect(counter.count).toBe(2);
});

test.each([
  ["earlyStopping", earlyStopping()],
  ["reduceLROnPlateau", reduceLROnPlateau()],
  ["terminateOnNaN", terminateOnNaN()],
  ["logEpochs", logEpochs(() => {})],
])("%s says that it is not made for another training loop", async (name, callback) => {
  await expect((async () => callback.onTrainBegin!({} as never))()).rejects.toThrow(`${name} is a callback for fit of adamax`);
});

test("a log has a line for each epoch, as JSON", async () => {
  const lines: string[] = [];
  const { run } = setting([1, Number.NaN]);
  const { epochs } = await run([logEpochs((line) => void lines.push(line))], { metrics: { half: () => 0.5 } });
  expect(JSON.parse(lines[0]!)).toEqual(epochs[0]);
  expect(JSON.parse(lines[1]!)).toEqual({ ...epochs[1], loss: "NaN", valLoss: "NaN" });
});

test("a log is a CSV file where its name says so, and begins anew with the training", async () => {
  const path = join(folder(), "run.csv");
  for (const epochs of [3, 2]) {
    const { run } = setting([4, 3, 2].slice(0, epochs));
    await run([logEpochs(path)]);
    const [head, ...lines] = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(head).toBe("epoch,batches,loss,valLoss,learningRate,seconds");
    expect(lines).toHaveLength(epochs);
    expect(lines[1]).toMatch(/^2,1,3,3,1,[\d.e-]+$/);
  }
});

test.each([
  ["in a folder that is missing", ["missing", "run.csv"], /ENOENT.*\. Make the folder first\.$/],
  ["in a file", ["file", "run.csv"], /ENOTDIR.*\. A file is where a folder should be: choose another path\.$/],
  ["where a folder is", [], /EISDIR.*\. It is a folder: name a file in it\.$/],
])("a log %s is refused before training begins", async (_, parts, message) => {
  const root = folder();
  writeFileSync(join(root, "file"), "");
  const path = join(root, ...parts);
  for (const target of [path, pathToFileURL(path)]) {
    const { run, optimizer } = setting([1]);
    const refused = run([logEpochs(target)]);
    await expect(refused).rejects.toThrow(OptionError);
    await expect(refused).rejects.toThrow(`logEpochs cannot write ${target}. Received: E`);
    await expect(refused).rejects.toThrow(message);
    expect(optimizer.iterations).toBe(0);
  }
});

test("a log that is lost on the way ends the training, and says so", async () => {
  const path = join(folder(), "logs");
  mkdirSync(path);
  const { run, optimizer } = setting([1, 2]);
  const lose = { onEpochEnd: () => rmSync(path, { recursive: true }) };
  await expect(run([lose, logEpochs(join(path, "run.csv"))])).rejects.toThrow(/logEpochs cannot write .*run\.csv.*ENOENT/);
  expect(optimizer.iterations).toBe(1);
});

test("until its first line, a log of an earlier training stays", async () => {
  const path = join(folder(), "run.csv");
  writeFileSync(path, "of another day\n");
  const { run } = setting([1]);
  const fail = {
    onEpochBegin: () => {
      throw new Error("no training today");
    },
  };
  await expect(run([logEpochs(path), fail])).rejects.toThrow("no training today");
  expect(readFileSync(path, "utf8")).toBe("of another day\n");
});

test("a log takes a path, a URL of a file or a function, in two formats", () => {
  for (const odd of ["", null, Symbol("x")]) expect(() => logEpochs(odd as string)).toThrow(OptionError);
  expect(() => logEpochs(new URL("https://example.org/run.csv"))).toThrow(/Received: "https:\/\/example\.org\/run\.csv"/);
  expect(() => logEpochs("x.csv", { format: "xml" as never })).toThrow(/"jsonl" or "csv"/);
});
