/** What real tf_keras and Keras 3 wrote about an Adamax is accepted whole, or refused with an error that names what has no counterpart. */

import { Adamax, type Config, type Dialect, OptionError, type schedules, Variable } from "adamax";
import { describe, expect, test } from "vitest";
import fixture from "../../fixtures/configs.json";
import { f32, nearTest, read, thrown, variable, warnings } from "./helpers.js";

interface Row {
  written_by: string;
  what: string;
  form: string;
  json: Config;
}
interface Wrapped extends Config {
  class_name?: string;
  config: Config;
  optimizer?: Config;
  optimizer_config?: Config;
  inner_optimizer?: Config;
}
const rows = (fixture.configs as Row[]).map((row) => [`${row.written_by}, ${row.what}, ${row.form}`, row] as const);
const title = (pattern: RegExp) => rows.filter(([name]) => pattern.test(name));
const plain = rows.filter(([name]) => !/loss scale|lambda| wins/.test(name));

/** What a user takes out of a model file: the part about the optimizer. */
const optimizerOf = ({ json }: Row): Config => (json as Wrapped).optimizer ?? (json as Wrapped).optimizer_config ?? json;
/** The optimizer's own keys. */
const inside = (config: Config): Config =>
  "config" in config
    ? inside((config as Wrapped).config)
    : "inner_optimizer" in config
      ? inside(config.inner_optimizer as Config)
      : config;
const dialectOf = ({ written_by }: Row): Dialect => (written_by.startsWith("keras") ? "keras" : "tf_keras");

test("the file has what both libraries write", () => {
  expect(rows).toHaveLength(93);
  expect(plain.length).toBeGreaterThan(60);
});

test.each(plain)("every key arrives: %s", (_, row) => {
  const { jit_compile, ...config } = structuredClone(inside(optimizerOf(row))); // what that machine could compile is not what this one can
  const schedule = config.learning_rate as Wrapped;
  if (schedule.config?.name === null) delete schedule.config.name; // no name was given: the schedule's own stands there
  const optimizer = Adamax.fromConfig(optimizerOf(row));
  expect(optimizer.getConfig(dialectOf(row))).toMatchObject(config);
  expect(optimizer.settings.jitCompile).toBe(true);
});

test.each(plain)("is written back with the same keys: %s", (_, row) => {
  const config = inside(optimizerOf(row));
  expect(Object.keys(Adamax.fromConfig(optimizerOf(row)).getConfig(dialectOf(row))).sort()).toEqual(Object.keys(config).sort());
});

test.each(title(/clipnorm wins/))("two clip options: the one that won there wins here, with a warning: %s", (_, row) => {
  const warned = warnings();
  const { clipnorm, clipvalue, globalClipnorm } = Adamax.fromConfig(optimizerOf(row)).settings;
  const winner = row.what.startsWith("global") ? { clipnorm: null, globalClipnorm: 1 } : { clipnorm: 1, globalClipnorm: null };
  expect({ clipnorm, clipvalue, globalClipnorm }).toEqual({ clipvalue: null, ...winner });
  expect(warned).toEqual([expect.stringMatching(/of .*lipnorm, clipvalue, .*lipnorm is used, as in tf_keras/)]);
});

test.each(title(/loss scale, fixed/))("a fixed loss scale is the inner optimizer with lossScaleFactor: %s", (_, row) => {
  const optimizer = Adamax.fromConfig(optimizerOf(row));
  const { jit_compile, ...config } = inside(optimizerOf(row));
  expect(optimizer.getConfig()).toMatchObject({ ...config, loss_scale_factor: 128 });
});

describe("neutral values of other Keras versions mean here what they mean there, without a word", () => {
  const off = { clipnorm: null, globalClipnorm: null, clipvalue: null, emaOverwriteFrequency: null };
  test.each<[string, Config, object]>([
    ["decay: 0.0, which every old .h5 has", { decay: 0.0, learning_rate: 0.5 }, { ...off, learningRate: 0.5 }],
    ["decay: null", { decay: null, learning_rate: 0.5 }, { ...off, learningRate: 0.5 }],
    ["clipnorm: 0", { clipnorm: 0 }, off],
    ["global_clipnorm: 0.0", { global_clipnorm: 0.0 }, off],
    ["clipvalue: -1, which clips as little", { clipvalue: -1 }, off],
    ["clipnorm: 0 and clipvalue: 0", { clipnorm: 0, clipvalue: 0 }, off],
    ["clipnorm: 0 beside one that clips", { clipnorm: 0, clipvalue: 0.5 }, { ...off, clipvalue: 0.5 }],
    ["clipnorm: null beside one that clips", { clipnorm: null, global_clipnorm: 2 }, { ...off, globalClipnorm: 2 }],
    ["ema_overwrite_frequency: 0", { use_ema: true, ema_overwrite_frequency: 0 }, { ...off, useEma: true }],
    ["gradient_accumulation_steps: 0", { gradient_accumulation_steps: 0 }, { ...off, gradientAccumulationSteps: null }],
    ["weight_decay: 0", { weight_decay: 0 }, { ...off, weightDecay: 0 }],
    ["lr, as Keras called it until 2.2", { lr: 0.25, decay: 0 }, { ...off, learningRate: 0.25 }],
  ])("%s", (_, config, settings) => {
    const warned = warnings();
    expect(Adamax.fromConfig(config).settings).toMatchObject(settings);
    expect(warned).toEqual([]);
  });

  test("as an option, a clip of 0 is refused as ever", () => {
    expect(() => new Adamax({ clipnorm: 0 })).toThrow("above 0");
    expect(() => new Adamax({ gradientAccumulationSteps: 0 })).toThrow("an integer of 2 or more");
  });
});

test.each<[unknown, RegExp]>([
  [0.1, /overrides of fromConfig must be an object\. Received: overrides=0\.1/],
  [null, /overrides=null/],
  [new Map([["learningRate", 0.1]]), /overrides=an object \(Map\)/],
])("overrides in %s, which would be passed over, are refused", (overrides, message) => {
  expect(() => Adamax.fromConfig({ learning_rate: 0.5 }, overrides as never)).toThrow(message);
});

test("an override that is undefined is not given; either spelling wins", () => {
  const config = { learning_rate: 0.5, beta_1: 0.5, clipnorm: 1, groups: [{ names: ["w"], learning_rate_multiplier: 2 }] };
  const read = (overrides: object) => {
    using optimizer = Adamax.fromConfig(config, overrides);
    return [
      optimizer.learningRate,
      optimizer.hyperparameters.beta1,
      optimizer.settings.clipnorm,
      optimizer.settings.groups.length,
    ];
  };
  const given = { learningRate: undefined, beta1: undefined, clipnorm: undefined, groups: undefined };
  expect(read(given)).toEqual([0.5, 0.5, 1, 1]);
  expect(read({ learningRate: 0.25, clipnorm: null, groups: [] })).toEqual([0.25, 0.5, null, 0]);
  expect(read({ learning_rate: 0.25, beta_1: 0.25 })).toEqual([0.25, 0.25, 1, 1]);
  expect(() => read({ learning_rate: 0.25, learningRate: 0.125 })).toThrow("learningRate twice");
});

test("a rate by its old name is not taken beside the configuration's: what to give is said", () => {
  expect(() => Adamax.fromConfig({ learning_rate: 0.5 }, { lr: 0.25 } as never)).toThrow(
    "lr is the old name of learningRate. Received: both. Keep learningRate.",
  );
});

test("a custom class that makes no schedules is refused in words", () => {
  const learning_rate = { class_name: "Warmup", config: {} };
  for (const Warmup of [5, class {}])
    expect(() => Adamax.fromConfig({ learning_rate }, {}, { Warmup } as never)).toThrow(
      /No schedule has this name\. Received: class_name="Warmup"\. Pass its class in customObjects/,
    );
});

describe("decay of a legacy optimizer", () => {
  const old: Config = { class_name: "Adamax", config: { name: "Adamax", learning_rate: 0.5, decay: 0.25, beta_1: 0.9 } };

  test("becomes the schedule that it was: learning_rate / (1 + decay * iterations)", () => {
    const optimizer = Adamax.fromConfig(old);
    const rates = [0, 1, 2, 10].map((step) => (optimizer.settings.learningRate as schedules.InverseTimeDecay).at(step));
    expect(rates).toEqual([0.5, 0.5 / 1.25, 0.5 / 1.5, 0.5 / 3.5]);
    expect(Adamax.fromConfig(optimizer.getConfig()).getConfig()).toEqual(optimizer.getConfig());
  });

  test("goes by Keras' default rate, and by the old name of the rate", () => {
    const first = (config: Config) => (Adamax.fromConfig(config).settings.learningRate as schedules.InverseTimeDecay).at(0);
    expect(first({ decay: 1 })).toBe(0.001);
    expect(first({ decay: 1, lr: 0.25 })).toBe(0.25);
  });

  test("gives way to a learning rate that is given", () => {
    expect(Adamax.fromConfig(old, { learningRate: 0.125 }).settings.learningRate).toBe(0.125);
  });

  test.each<[string, Config, RegExp]>([
    ["a negative one", { decay: -1 }, /decay=-1/],
    ["one that is no number", { decay: "slow" }, /decay="slow"/],
    [
      "one on top of a schedule",
      { decay: 0.5, learning_rate: { class_name: "CosineDecay", config: { initial_learning_rate: 1, decay_steps: 9 } } },
      /learning_rate of a configuration with decay must be a finite number.*learning_rate=an object/,
    ],
    ["beside two clip options, of which it used both", { decay: 0, clipnorm: 1, clipvalue: 2 }, /clipnorm=1, clipvalue=2/],
  ])("%s is an error that names it", (_, config, message) => {
    const error = thrown(() => Adamax.fromConfig(config));
    expect(error).toBeInstanceOf(OptionError);
    expect(error.message).toMatch(message);
  });
});

test("a clip option that is given beside the file's is an error, not dropped", () => {
  expect(() => Adamax.fromConfig({ clipnorm: 1 }, { clipvalue: 2 })).toThrow("Only one of");
  expect(Adamax.fromConfig({ clipnorm: 1 }, { clipnorm: null, clipvalue: 2 }).settings).toMatchObject({
    clipnorm: null,
    clipvalue: 2,
  });
});

const moving = title(/loss scale/).filter(([name]) => !name.includes("fixed"));
test.each(moving)("a loss scale that moves is an error that names it: %s", (_, row) => {
  const error = thrown(() => Adamax.fromConfig(optimizerOf(row)));
  expect(error).toBeInstanceOf(OptionError);
  expect(error.message).toMatch(
    /dynamic of LossScaleOptimizer must be false.* inner_optimizer.*lossScaleFactor\. Received: dynamic=(true|undefined)\. Give/,
  );
});

test.each(title(/Python lambda/))(
  "a learning rate that is Python code is an error that says so, unless it is given again: %s",
  (_, row) => {
    const error = thrown(() => Adamax.fromConfig(optimizerOf(row)));
    expect(error).toBeInstanceOf(OptionError);
    expect(error.message).toMatch(/learning_rate is a function.*__lambda__\. Pass learningRate again/);
    expect(Adamax.fromConfig(optimizerOf(row), { learningRate: () => 0.02 }).learningRate).toBe(0.02);
  },
);

test.each<[string, Config, RegExp]>([
  ["a key that nobody knows", { learning_rate: 0.1, warp_factor: 9 }, /Adamax has no such option.*warpFactor/],
  ["a misspelt key", { learning_rat: 0.1 }, /Adamax has no such option.*learningRat\b.*learningRate\?/],
  ["both spellings of a key", { beta_1: 0.9, beta1: 0.8 }, /beta1 twice/],
  ["another optimizer", { class_name: "Adam", config: {} }, /another optimizer.*Adam, for Adamax\. Use/],
  ["a legacy optimizer", { is_legacy_optimizer: true }, /legacy/],
  [
    "an unknown key of a loss scale",
    { inner_optimizer: { class_name: "Adamax", config: {} }, dynamic: false, initial_scale: 2, wheels: 4 },
    /wheels/,
  ],
  [
    "a loss scale around nothing",
    { class_name: "LossScaleOptimizer", config: { dynamic: false, initial_scale: 2 } },
    /inner_optimizer/,
  ],
  ["an unknown schedule", { learning_rate: { class_name: "Zigzag", config: {} } }, /Zigzag/],
  ["NaN", { learning_rate: Number.NaN }, /learningRate of Adamax must be a finite number.*NaN/],
  ["infinity", { ema_momentum: Number.POSITIVE_INFINITY }, /emaMomentum of Adamax must be a finite number.*Infinity/],
  ["a value of another type", { use_ema: "yes" }, /useEma of Adamax must be true or false.*"yes"/],
  ["no object", null as unknown as Config, /config of fromConfig must be an object.*config=null/],
])("%s in a configuration is an error that names it", (_, config, message) => {
  const error = thrown(() => Adamax.fromConfig(config));
  expect(error).toBeInstanceOf(OptionError);
  expect(error.message).toMatch(message);
});

test("numbers that Keras wrote as tensors are read as numbers", () => {
  const tensor = (value: number) => ({ class_name: "__tensor__", config: { value, dtype: "float32" } });
  const optimizer = Adamax.fromConfig({ learning_rate: tensor(0.5), beta_1: tensor(0.75) });
  expect([optimizer.learningRate, optimizer.hyperparameters.beta1]).toEqual([0.5, 0.75]);
});

describe("the variables of groups and exclusions are in a configuration by their names", () => {
  const decayed = async (optimizer: Adamax, names: readonly string[]): Promise<number[]> => {
    const variables = names.map((name) => variable([1], name));
    optimizer.applyGradients(variables.map((one) => [f32(0), one]));
    return (await Promise.all(variables.map(read))).flat();
  };
  const settings = { learningRate: 0.5, weightDecay: 0.5 };

  nearTest("what excludeFromWeightDecay named, by identity or by pattern, in an array or not", async () => {
    const [bias, array] = [variable([1], "a.b"), f32(1)];
    const optimizer = new Adamax(settings);
    optimizer.excludeFromWeightDecay({ variables: [bias, array], names: ["scale$", /BETA/i] });
    optimizer.build([bias, array]);
    const config = JSON.parse(JSON.stringify(optimizer.getConfig()));
    expect(config.exclude_from_weight_decay).toEqual(["scale$", { source: "BETA", flags: "i" }, "^a\\.b$", "^variable_1$"]);
    const again = () => Adamax.fromConfig(config);
    expect(again().getConfig()).toEqual(config);
    expect(await decayed(again(), ["a.b", "a_b", "variable_1", "scale", "beta", "scales"])).toEqual([1, 0.75, 1, 1, 1, 0.75]);
    expect(await decayed(Adamax.fromConfig(config, { weightDecay: 1 }), ["a.b", "x"])).toEqual([1, 0.5]);
  });

  test("a dialect's configuration has the keys of that Keras alone, which does not save what is excluded", () => {
    const optimizer = new Adamax(settings);
    optimizer.excludeFromWeightDecay({ names: ["bias"] });
    for (const dialect of ["tf_keras", "keras"] as const)
      expect(optimizer.getConfig(dialect)).toEqual(new Adamax(settings).getConfig(dialect));
  });

  test.each<[string, (selection: { variables: Variable[] }) => Adamax]>([
    ["a group", (selection) => new Adamax({ groups: [{ ...selection, learningRateMultiplier: 0.5 }] })],
    [
      "an exclusion",
      (selection) => {
        const optimizer = new Adamax(settings);
        optimizer.excludeFromWeightDecay(selection);
        return optimizer;
      },
    ],
  ])("%s of a variable that is not the only one of its name cannot be said, and is an error", (_, make) => {
    const [one, other] = [new Variable(f32(1)), new Variable(f32(1))];
    const optimizer = make({ variables: [one] });
    const message = /A configuration needs names that differ. Received: several called "variable". Give each a name of its own/;
    expect(() => optimizer.getConfig()).toThrow(message); // before build: nobody knows what will be beside it
    optimizer.build([one, other]);
    expect(() => optimizer.getConfig()).toThrow(message);
    const only = new Variable(f32(1));
    const alone = make({ variables: [only] });
    alone.build([only]);
    expect(JSON.stringify(alone.getConfig())).toContain("^variable$");
  });

  test.each([
    "^(a+)+$",
    "^(a|a)*$",
    `${"a?".repeat(20)}$`,
    "(a|b)".repeat(4),
    "a*a*a*$",
    ".*.*.*b",
    "a{9}a{9,}a+b",
    `a*${"b".repeat(300)}`,
  ])("%s is not searched for: a configuration may come from a file", (pattern) => {
    const refused = /could take minutes.*Give it in the program/;
    for (const names of [[pattern], [{ source: pattern, flags: "i" }]]) {
      const config = { groups: [{ names, learning_rate_multiplier: 2 }] };
      expect(() => Adamax.fromConfig(config)).toThrow(refused);
      expect(() => Adamax.fromConfig({ exclude_from_weight_decay: names })).toThrow(refused);
      expect(Adamax.fromConfig(config, { groups: [{ names: [/x/] }] }).settings.groups).toHaveLength(1);
    }
  });

  test.each([
    "^(encoder|decoder)/.*/(kernel|bias)$".replace("/.*", ""),
    "layer_\\d+/.*kernel$",
    "block.*/attention_?.*kernel",

    "\\(\\*\\)\\+",
    "a|".repeat(200),
  ])("%s is", (pattern) => {
    expect(Adamax.fromConfig({ groups: [{ names: [pattern] }] }).settings.groups[0]!.names).toEqual([pattern]);
  });

  test.each([5, "bias", [5], ["("], [{ source: "(", flags: "i" }]])(
    "%j in the place of names of what is excluded is an error",
    (names) => {
      expect(() => Adamax.fromConfig({ exclude_from_weight_decay: names })).toThrow(/names of excludeFromWeightDecay/);
    },
  );
});
