import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import { OptionError } from "../src/errors.js";
import {
  CosineDecay,
  CosineDecayRestarts,
  deserialize,
  ExponentialDecay,
  InverseTimeDecay,
  LearningRateSchedule,
  PiecewiseConstantDecay,
  PolynomialDecay,
  serialize,
} from "../src/schedules/index.js";

// By fixtures/schedules.py, versions inside.
const golden = JSON.parse(readFileSync(new URL("../fixtures/schedules.json", import.meta.url), "utf8")) as {
  steps: number[];
  schedules: {
    class_name: string;
    config: Record<string, unknown>;
    serialized: Record<string, unknown>;
    float64: number[];
    float32: number[];
  }[];
};
const goldens = golden.schedules.map(
  (row) => [`${row.class_name} ${JSON.stringify(row.config).replaceAll('"', "")}`, row] as const,
);

/** The golden's schedule, without the warning that one of them gives. */
const read = (serialized: Record<string, unknown>) => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  try {
    return deserialize(serialized);
  } finally {
    warn.mockRestore();
  }
};

test.each(goldens)("%s gives tf_keras' rates in float64", (_, { serialized, float64 }) => {
  const schedule = read(serialized);
  const ulp = 2 ** -53 * Math.max(...float64); // of the largest rate: a cosine that nears 0 is a difference of numbers near 1
  golden.steps.forEach((step, i) => {
    expect(Math.abs(schedule.at(step) - float64[i]!), `step ${step}`).toBeLessThanOrEqual(4 * ulp); // a few roundings, one power or cosine
  });
});

test.each(goldens)("%s stays near tf_keras' rates in float32", (_, { serialized, float32 }) => {
  const schedule = read(serialized);
  golden.steps.forEach((step, i) => {
    // There 0.96 is off by 2^-25, and a power of it by that times the exponent, at most 5000 / 7 here. Below 2^-126 it flushes to 0.
    const bound = ((2 ** -24 * 5000) / 7) * float32[i]! + 2 ** -126;
    expect(Math.abs(schedule.at(step) - float32[i]!), `step ${step}`).toBeLessThanOrEqual(bound);
  });
});

const rates = (schedule: LearningRateSchedule, steps: number[]) => steps.map((step) => schedule.at(step));

test("ExponentialDecay multiplies by decayRate once in decaySteps", () => {
  const options = { initialLearningRate: 8, decaySteps: 2, decayRate: 0.25 };
  expect(rates(new ExponentialDecay(options), [0, 1, 2, 3, 4])).toEqual([8, 4, 2, 1, 0.5]);
  expect(rates(new ExponentialDecay({ ...options, staircase: true }), [0, 1, 2, 3, 4])).toEqual([8, 8, 2, 2, 0.5]);
});

test("InverseTimeDecay divides by a divisor that grows by decayRate in decaySteps", () => {
  const options = { initialLearningRate: 8, decaySteps: 2, decayRate: 2 };
  expect(rates(new InverseTimeDecay(options), [0, 1, 3])).toEqual([8, 4, 2]);
  expect(rates(new InverseTimeDecay({ ...options, staircase: true }), [0, 1, 2, 3])).toEqual([8, 8, 8 / 3, 8 / 3]);
});

test("PiecewiseConstantDecay keeps a value up to and including its boundary", () => {
  const schedule = new PiecewiseConstantDecay({ boundaries: [2, 4], values: [1, 0.5, 0.25] });
  expect(rates(schedule, [0, 2, 3, 4, 5, 1000])).toEqual([1, 1, 0.5, 0.5, 0.25, 0.25]);
});

test("PolynomialDecay reaches endLearningRate at decaySteps and stays there", () => {
  const options = { initialLearningRate: 9, decaySteps: 4, endLearningRate: 1 };
  expect(rates(new PolynomialDecay(options), [0, 1, 2, 4, 5, 100])).toEqual([9, 7, 5, 1, 1, 1]);
  expect(rates(new PolynomialDecay({ ...options, power: 2 }), [0, 2, 4])).toEqual([9, 3, 1]);
});

test("PolynomialDecay with cycle begins its first cycle at step 0 and a longer one after each end", () => {
  const schedule = new PolynomialDecay({ initialLearningRate: 9, decaySteps: 4, endLearningRate: 1, cycle: true });
  expect(rates(schedule, [0, 2, 4, 6, 8, 9, 12])).toEqual([9, 5, 1, 3, 1, 3, 1]);
});

test("CosineDecay ends at alpha times where it began", () => {
  const schedule = new CosineDecay({ initialLearningRate: 2, decaySteps: 10, alpha: 0.25 });
  expect(rates(schedule, [0, 5, 10, 11])).toEqual([2, 1.25, 0.5, 0.5]);
});

test("CosineDecay counts its decay from the end of the warmup", () => {
  const schedule = new CosineDecay({ initialLearningRate: 1, warmupTarget: 3, warmupSteps: 4, decaySteps: 10 });
  expect(rates(schedule, [0, 2, 4, 9, 14, 15])).toEqual([1, 2, 3, 1.5, 0, 0]);
});

test("CosineDecayRestarts begins anew after 1, 1 + tMul, 1 + tMul + tMul^2 ... first periods, lower by mMul", () => {
  const schedule = new CosineDecayRestarts({ initialLearningRate: 8, firstDecaySteps: 10, mMul: 0.5 });
  expect(rates(schedule, [0, 5, 10, 20, 30, 50, 70])).toEqual([8, 4, 4, 2, 2, 1, 1]);
  const even = new CosineDecayRestarts({ initialLearningRate: 8, firstDecaySteps: 10, tMul: 1, alpha: 0.5 });
  expect(rates(even, [0, 5, 10, 15, 20])).toEqual([8, 6, 8, 6, 8]);
});

test("CosineDecayRestarts restarts in the very step in which a period ends, where Keras' logarithm is a step late", () => {
  const schedule = new CosineDecayRestarts({ initialLearningRate: 8, firstDecaySteps: 1, tMul: 10 });
  expect(Math.log(1000) / Math.log(10)).toBeLessThan(3); // the third restart, in Keras' formula
  expect(schedule.at(111)).toBe(8);
});

test.each(goldens)("%s is written with the keys and values that tf_keras wrote", (_, { serialized, config }) => {
  const written = serialize(read(serialized));
  expect(written).toMatchObject({
    module: "keras.optimizers.schedules",
    class_name: serialized.class_name,
    registered_name: null,
  });
  expect(Object.keys(written.config)).toEqual(Object.keys(config));
  const { name, ...numbers } = config;
  if (config.warmup_target === null) numbers.warmup_steps = 0; // what they said there is nothing
  expect(written.config).toMatchObject(numbers);
  expect(written.config.name).toEqual(name ?? expect.any(String)); // null: tf_keras; Keras 3 refuses it
});

test("a schedule survives JSON, in both spellings", () => {
  const schedule = new CosineDecay({ initialLearningRate: 0.25, decaySteps: 10, warmupTarget: 0.5, warmupSteps: 3 });
  expect(deserialize(JSON.parse(JSON.stringify(serialize(schedule))))).toEqual(schedule);
  expect(deserialize({ className: "CosineDecay", config: schedule.settings })).toEqual(schedule);
  expect(CosineDecay.fromConfig(schedule.getConfig())).toEqual(schedule);
});

test("rates that were tensors in Python are read", () => {
  const config = {
    initial_learning_rate: { class_name: "__tensor__", config: { value: 0.5, dtype: "float32" } },
    decay_steps: 10,
    decay_rate: 0.25,
  };
  expect(deserialize({ class_name: "ExponentialDecay", config })).toEqual(
    new ExponentialDecay({ initialLearningRate: 0.5, decaySteps: 10, decayRate: 0.25 }),
  );
});

/** A schedule of a user: a straight line to 0. */
class Line extends LearningRateSchedule {
  readonly options: { initialLearningRate: number; steps: number };
  constructor(options: { initialLearningRate: number; steps: number }) {
    super();
    this.options = options;
  }
  at(step: number) {
    return this.options.initialLearningRate * Math.max(0, 1 - step / this.options.steps);
  }
  getConfig() {
    return { initial_learning_rate: this.options.initialLearningRate, steps: this.options.steps };
  }
}

test("a schedule of one's own is written as Keras writes those, and read with its class", () => {
  const written = serialize(new Line({ initialLearningRate: 8, steps: 4 }));
  expect(written).toEqual({
    module: null,
    class_name: "Line",
    config: { initial_learning_rate: 8, steps: 4 },
    registered_name: "Line",
  });
  expect(rates(deserialize(written, { Line }), [0, 1, 5])).toEqual([8, 6, 0]);
});

test("a class registered in Python under a package is found by its full or its short name", () => {
  const config = { initial_learning_rate: 8, steps: 4 };
  expect(deserialize({ class_name: "Line", config, registered_name: "mine>Line" }, { "mine>Line": Line })).toBeInstanceOf(Line);
  expect(deserialize({ class_name: "mine>Line", config }, { Line })).toBeInstanceOf(Line);
});

test("a schedule does not change with the arrays it was given or gave", () => {
  const boundaries = [2];
  const schedule = new PiecewiseConstantDecay({ boundaries, values: [1, 0.5] });
  boundaries[0] = 10;
  (schedule.getConfig().boundaries as number[])[0] = 10;
  expect(schedule.at(3)).toBe(0.5);
});

const exponential = { initialLearningRate: 0.1, decaySteps: 10, decayRate: 0.9 };
const refused: [what: string, make: () => unknown, message: RegExp][] = [
  [
    "an unknown option",
    () => new ExponentialDecay({ ...exponential, decayStep: 1 } as never),
    /decayStep=1\. Did you mean decaySteps\?/,
  ],
  [
    "positional arguments",
    () => new ExponentialDecay(0.1 as never),
    /one object of options\. Received: 0\.1\. It takes initialLearningRate, decaySteps/,
  ],
  [
    "a missing option",
    () => new ExponentialDecay({ initialLearningRate: 0.1, decaySteps: 1 } as never),
    /decayRate .* must be .*decayRate=undefined\. Give such a value\.$/,
  ],
  ["NaN", () => new ExponentialDecay({ ...exponential, initialLearningRate: Number.NaN }), /Received: initialLearningRate=NaN/],
  [
    "a negative rate",
    () => new ExponentialDecay({ ...exponential, initialLearningRate: -1 }),
    /0 or more\. Received: initialLearningRate=-1/,
  ],
  ["no steps", () => new ExponentialDecay({ ...exponential, decaySteps: 0 }), /above 0\. Received: decaySteps=0/],
  ["a string for a number", () => new ExponentialDecay({ ...exponential, decaySteps: "10" as never }), /decaySteps="10"/],
  [
    "a number for a switch",
    () => new ExponentialDecay({ ...exponential, staircase: 1 as never }),
    /true or false\. .*staircase=1\. Give such a value, or leave it out/,
  ],
  [
    "periods that shrink",
    () => new CosineDecayRestarts({ initialLearningRate: 1, firstDecaySteps: 1, tMul: 0.5 }),
    /1 or more\. Received: tMul=0\.5/,
  ],
  [
    "a warmup to nowhere",
    () => new CosineDecay({ initialLearningRate: 1, decaySteps: 1, warmupSteps: 5 }),
    /warmupTarget of CosineDecay with warmupSteps .*warmupTarget=null\. Give/,
  ],
  [
    "too few values",
    () => new PiecewiseConstantDecay({ boundaries: [1, 2], values: [1, 2] }),
    /and one value more\. Received: boundaries 1, 2, values 1, 2\. Correct/,
  ],
  [
    "no boundaries",
    () => new PiecewiseConstantDecay({ boundaries: [], values: [1] }),
    /an array of 1 or more, each element a finite number of 0 or more\. Received: boundaries=\[\]/,
  ],
  [
    "unsorted boundaries",
    () => new PiecewiseConstantDecay({ boundaries: [2, 2], values: [1, 2, 3] }),
    /boundaries that increase, .* Received: boundaries 2, 2, values 1, 2, 3\. Correct/,
  ],
  [
    "an unknown class",
    () => deserialize({ class_name: "LinearCosineDecay", config: {} }),
    /class_name="LinearCosineDecay"\. Pass its class in customObjects/,
  ],
  ["a misspelt class", () => deserialize({ class_name: "ExponentialDecy", config: {} }), /Did you mean ExponentialDecay\?/],
  ["what is no schedule", () => deserialize({ learning_rate: 0.1 }), /learningRate=0.1\. It takes className, config/],
  ["null", () => deserialize(null as never), /className of SerializedSchedule must be a string/],
  ["an unknown key beside config", () => deserialize({ class_name: "CosineDecay", config: {}, extra: 1 }), /extra/],
  [
    "an unknown key in a config",
    () => deserialize({ class_name: "CosineDecay", config: { initial_learning_rate: 1, decay_steps: 1, beta: 1 } }),
    /no such option\. Received: beta=1/,
  ],
  [
    "one key in both spellings",
    () => deserialize({ class_name: "CosineDecay", config: { initial_learning_rate: 1, decay_steps: 1, decaySteps: 2 } }),
    /decaySteps twice/,
  ],
];
test.each(refused)("%s is an OptionError that says what to do", (_, make, message) => {
  expect(make).toThrow(OptionError);
  expect(make).toThrow(message);
});

test("a config with warmup_steps and no warmup_target is read as Keras reads it, with a warning", () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const schedule = CosineDecay.fromConfig({ initial_learning_rate: 2, decay_steps: 10, warmup_target: null, warmup_steps: 5 });
  expect(warn.mock.calls).toEqual([[expect.stringContaining("CosineDecay ignores warmup_steps without warmup_target")]]);
  expect(schedule.at(5)).toBe(1);
  warn.mockRestore();
});
