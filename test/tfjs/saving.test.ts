import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { CheckpointError, schedules } from "adamax";
import { Adamax, type AdamaxOptions, registerAdamax } from "adamax/tfjs";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { registerFiles } from "../../examples/files.js";
import { isOnTfjsNode, tf, use, usual } from "./backends.js";
import { compile, train, twoLayers } from "./models.js";

beforeAll(async () => {
  await use(usual);
  registerAdamax();
});
afterEach(() => tf.disposeVariables());

/** What a model is saved as, all the way to JSON and back. */
const saved = async (model: tf.LayersModel): Promise<tf.io.IOHandler> => {
  let artifacts: tf.io.ModelArtifacts | undefined;
  const handler = tf.io.withSaveHandler(async (given) => {
    artifacts = given;
    return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
  });
  await model.save(handler, { includeOptimizer: true });
  const { weightData, ...json } = artifacts!;
  return tf.io.fromMemory({ ...JSON.parse(JSON.stringify(json)), weightData });
};

const load = async (handler: tf.io.IOHandler): Promise<tf.LayersModel> => tf.loadLayersModel(handler);

const options: [string, AdamaxOptions][] = [
  ["no option", {}],
  ["numbers", { learningRate: 0.03, beta1: 0.8, beta2: 0.9, epsilon: 0.01, weightDecay: 0.1, clipnorm: 0.3 }],
  [
    "averages",
    { learningRate: 0.1, useEma: true, emaMomentum: 0.9, emaOverwriteFrequency: 7, emaStart: "firstStep", clipvalue: 0.1 },
  ],
  ["accumulation", { learningRate: 0.1, gradientAccumulationSteps: 4, lossScaleFactor: 2, globalClipnorm: 1 }],
  ["a schedule", { learningRate: new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 30, alpha: 0.1 }) }],
  [
    "pieces of rates",
    { learningRate: new schedules.PiecewiseConstantDecay({ boundaries: [5, 15], values: [0.1, 0.05, 0.01], name: "My_Pieces" }) },
  ],
  [
    "a polynomial",
    { learningRate: new schedules.PolynomialDecay({ initialLearningRate: 0.1, decaySteps: 20, power: 0.5, cycle: true }) },
  ],
  ["inverse time", { learningRate: new schedules.InverseTimeDecay({ initialLearningRate: 0.1, decaySteps: 5, decayRate: 0.5 }) }],
  [
    "a cosine with warmup",
    {
      learningRate: new schedules.CosineDecay({ initialLearningRate: 0, decaySteps: 30, warmupTarget: 0.1, warmupSteps: 15 }),
    },
  ],
  [
    "restarts",
    { learningRate: new schedules.CosineDecayRestarts({ initialLearningRate: 0.1, firstDecaySteps: 8, tMul: 1.5, mMul: 0.9 }) },
  ],
  [
    "stairs",
    {
      learningRate: new schedules.ExponentialDecay({ initialLearningRate: 0.1, decaySteps: 7, decayRate: 0.5, staircase: true }),
    },
  ],
  [
    "groups",
    {
      learningRate: 0.1,
      groups: [{ names: ["Dense\\d*/kernel", /BIAS/i], learningRateMultiplier: 0.1, weightDecay: 0.5 }],
      name: "My_Adamax",
    },
  ],
];

test.each(options)("%s: the 100 losses after saving and loading are those of the run that went on", async (_, given) => {
  const model = compile(twoLayers(), new Adamax(given));
  await train(model, 10);
  const loaded = await load(await saved(model));
  expect(loaded.optimizer).toBeInstanceOf(Adamax);
  const names = [model, loaded].map(({ trainableWeights }) =>
    trainableWeights.map((weight) => (weight.read() as tf.Variable).name),
  );
  for (const [i, name] of names[0]!.entries()) expect(names[1]![i]).not.toBe(name); // loading has renamed them
  expect(loaded.optimizer.iterations).toBe(model.optimizer.iterations);
  expect((loaded.optimizer as Adamax).learningRate).toBe((model.optimizer as Adamax).learningRate);
  expect(loaded.optimizer.getConfig()).toEqual(model.optimizer.getConfig());
  expect(await train(loaded, 100)).toEqual(await train(model, 100));
});

describe("groups and exclusions by variable mean the same variables after loading, however training goes on", () => {
  /** Two layers of one number each, and an optimizer that treats their biases in another way. */
  const make = (names: readonly [string, string] | undefined, what: string) => {
    const layers = [0, 1].map((i) =>
      tf.layers.dense({
        units: 1,
        inputShape: [1],
        kernelInitializer: "ones",
        biasInitializer: "ones",
        ...(names ? { name: names[i]! } : {}),
      }),
    );
    const model = tf.sequential({ layers });
    const biases = layers.map((layer) => layer.trainableWeights[1]!);
    const optimizer = new Adamax({
      learningRate: 0.1,
      weightDecay: 0.5,
      ...(what === "in a group" ? { groups: [{ variables: biases, learningRateMultiplier: 0.01 }] } : {}),
      ...(what === "found by a pattern" ? { groups: [{ names: [/BIAS$/i], learningRateMultiplier: 0.01 }] } : {}),
    });
    if (what === "excluded") optimizer.excludeFromWeightDecay({ variables: [biases[0]!, biases[1]!.read() as tf.Variable] });
    return compile(model, optimizer);
  };
  const xs = () => tf.ones([4, 1]);
  const ways: Record<string, (model: tf.LayersModel) => unknown> = {
    trainOnBatch: (model) => model.trainOnBatch(xs(), xs()),
    minimize: (model) =>
      model.optimizer.minimize(() => (model.predict(xs()) as tf.Tensor).sub(xs()).square().mean() as tf.Scalar),
    fit: (model) => model.fit(xs(), xs(), { batchSize: 4, verbose: 0 }),
  };
  const numbers = (model: tf.LayersModel) => model.getWeights().map((weight) => weight.dataSync()[0]);
  const cases = Object.keys(ways).flatMap((way) =>
    [0, 2].flatMap((steps) => ["excluded", "in a group", "found by a pattern"].map((what) => [way, steps, what] as const)),
  );

  test.each(cases)("%s, saved after %i steps, %s", async (way, steps, what) => {
    for (const names of [["g", "head_1"], undefined] as const) {
      const model = make(names, what);
      for (let i = 0; i < steps; i++) await ways[way]!(model);
      const loaded = await load(await saved(model));
      const twice = await load(await saved(loaded));
      for (const one of [model, loaded, twice]) await ways[way]!(one);
      expect(numbers(loaded)).toEqual(numbers(model));
      expect(numbers(twice)).toEqual(numbers(model));
      const later = await load(await saved(loaded)); // trained since, under the names that it has here
      for (const one of [model, later]) await ways[way]!(one);
      expect(numbers(later)).toEqual(numbers(model));
    }
  });
});

test("patterns of a file that could take minutes are not searched for", async () => {
  const loading = async (layer: string, pattern: string) => {
    const model = compile(tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [4], name: layer })] }), new Adamax());
    const artifacts = (await (await saved(model)).load!()) as tf.io.ModelArtifacts;
    const { config } = artifacts.trainingConfig!.optimizer_config as unknown as { config: Record<string, unknown> };
    config.groups = [{ names: [{ name: pattern }], learning_rate_multiplier: 2 }];
    return train(await load(tf.io.fromMemory(artifacts)), 1);
  };
  await expect(loading("a".repeat(40), "^(a+)+$")).rejects.toThrow(/could take minutes/);
  await expect(loading("a".repeat(9000), "^a*a*b")).rejects.toThrow(/names of more than 256 letters/);
  await loading("a".repeat(40), "^a*a*b|kernel");
});

test("a rate that is a function is saved as the number that it is now, with a warning, and can be assigned again", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const learningRate = () => 0.25;
  const model = compile(twoLayers(), new Adamax({ learningRate }));
  await train(model, 3);
  const loaded = await load(await saved(model));
  const optimizer = loaded.optimizer as Adamax;
  expect(warn).toHaveBeenCalledWith(expect.stringContaining("saved as what it returns now, 0.25"));
  warn.mockRestore();
  expect(optimizer.learningRate).toBe(0.25);
  optimizer.learningRate = learningRate;
  expect(await train(loaded, 20)).toEqual(await train(model, 20));
});

test("a model in a folder resumes: the 100 losses are those of the run that went on", async () => {
  if (!isOnTfjsNode) registerFiles();
  const url = pathToFileURL(await mkdtemp(join(tmpdir(), "adamax-"))).href;
  const learningRate = new schedules.ExponentialDecay({ initialLearningRate: 0.1, decaySteps: 20, decayRate: 0.9 });
  const model = compile(twoLayers(), new Adamax({ learningRate, useEma: true, globalClipnorm: 1, weightDecay: 0.01 }));
  await train(model, 10);
  await model.save(url, { includeOptimizer: true });
  const loaded = await tf.loadLayersModel(`${url}/model.json`);
  expect(await train(loaded, 100)).toEqual(await train(model, 100));
  await rm(fileURLToPath(url), { recursive: true });
});

test("a model that was loaded and saved again, without a step in between, keeps its state", async () => {
  const model = compile(twoLayers(), new Adamax({ learningRate: 0.1, useEma: true }));
  await train(model, 5);
  const loaded = await load(await saved(await load(await saved(model))));
  expect(await train(loaded, 20)).toEqual(await train(model, 20));
});

test("layers that are frozen after loading keep their saved state until they are unfrozen, also through another save", async () => {
  const freeze = (model: tf.LayersModel, frozen: boolean) => {
    model.layers[0]!.trainable = !frozen;
    return compile(model, model.optimizer);
  };
  const run = async (between: (model: tf.LayersModel) => Promise<tf.LayersModel>) => {
    let model = compile(twoLayers(), new Adamax({ learningRate: 0.1 }));
    await train(model, 5);
    model = freeze(await between(model), true);
    await train(model, 5);
    model = freeze(await between(model), false);
    return train(model, 5);
  };
  expect(await run(async (model) => load(await saved(model)))).toEqual(await run(async (model) => model));
});

test("100 saves leave no tensor behind after the first", async () => {
  const model = compile(twoLayers(), new Adamax());
  await train(model, 2);
  await saved(model);
  const { numTensors } = tf.memory();
  for (let i = 0; i < 100; i++) await saved(model);
  expect(tf.memory().numTensors).toBe(numTensors);
  model.optimizer.dispose();
  expect(tf.memory().numTensors).toBeLessThan(numTensors);
});

describe("state that does not fit is an error that says what is missing", () => {
  const state = async (given: AdamaxOptions = {}) => {
    const model = compile(twoLayers(), new Adamax(given));
    await train(model, 1);
    return model.optimizer.getWeights();
  };

  test("another model", async () => {
    const weights = await state();
    const adamax = new Adamax();
    await adamax.setWeights(weights);
    const w = tf.variable(tf.zeros([3]), true, "lonely");
    const step = () => adamax.applyGradients({ [w.name]: tf.ones([3]) });
    expect(step).toThrow(CheckpointError);
    expect(step).toThrow("lonely"); // also the second time: it never begins anew in silence
  });

  test("averages that were not kept", async () => {
    const weights = await state();
    const model = compile(twoLayers(), new Adamax({ useEma: true }));
    await model.optimizer.setWeights(weights);
    await expect(train(model, 1)).rejects.toThrow(/must have average, momentum, norm. Received: momentum, norm/);
  });

  test("another shape", async () => {
    const make = (sizes: number[]) => sizes.map((size) => tf.variable(tf.zeros([size])));
    const trained = make([4, 3]);
    const before = new Adamax();
    before.applyGradients(Object.fromEntries(trained.map((w) => [w.name, tf.ones(w.shape)])));
    const after = new Adamax();
    await after.setWeights(await before.getWeights());
    expect(() => after.build(make([2, 3]))).toThrow(/shape, \[2\]. Received: \[4\]/);
  });
});

test("the state moves between optimizers of the same variables by getWeights and setWeights", async () => {
  const w = tf.variable(tf.tensor1d([1, 2]), true, "w");
  const v = tf.variable(tf.tensor1d([3]), true, "v");
  const gradients = () => ({ w: tf.tensor1d([1, -1]), v: tf.tensor1d([2]) });
  const [first, second] = [new Adamax({ learningRate: 0.1 }), new Adamax({ learningRate: 0.1 })];
  first.applyGradients(gradients());
  second.build([v, w]); // another order
  await second.setWeights(await first.getWeights());
  const before = [w.clone(), v.clone()] as const;
  first.applyGradients(gradients());
  const after = [[...w.dataSync()], [...v.dataSync()]];
  w.assign(before[0] as tf.Tensor1D);
  v.assign(before[1] as tf.Tensor1D);
  second.applyGradients(gradients());
  expect([[...w.dataSync()], [...v.dataSync()]]).toEqual(after);
  expect(second.iterations).toBe(2);
});

describe("a training_config that Python wrote", () => {
  const read = async (optimizerConfig: object): Promise<Adamax> => {
    const handler = await saved(compile(twoLayers(), new Adamax()));
    const artifacts = (await handler.load!()) as tf.io.ModelArtifacts;
    artifacts.trainingConfig = { ...artifacts.trainingConfig!, optimizer_config: optimizerConfig as never };
    const weightSpecs = artifacts.weightSpecs!.filter(({ group }) => group !== "optimizer");
    const model = await load(tf.io.fromMemory({ ...artifacts, weightSpecs }));
    return model.optimizer as Adamax;
  };
  const common = {
    name: "Adamax",
    weight_decay: 0.004,
    clipnorm: 1.5,
    global_clipnorm: null,
    clipvalue: null,
    use_ema: true,
    ema_momentum: 0.95,
    ema_overwrite_frequency: 100,
    beta_1: 0.875,
    beta_2: 0.75,
    epsilon: 0.5,
  };
  const decay = {
    module: "keras.optimizers.schedules",
    class_name: "ExponentialDecay",
    config: { initial_learning_rate: 0.5, decay_steps: 10, decay_rate: 0.5, staircase: true, name: null },
    registered_name: null,
  };

  test("of tf_keras: with all of it in force", async () => {
    const adamax = await read({
      class_name: "Adamax",
      config: { ...common, jit_compile: false, is_legacy_optimizer: false, learning_rate: decay },
    });
    expect(adamax.getConfig()).toMatchObject(common);
    expect(adamax.learningRate).toBe(0.5);
    expect(adamax.useEma).toBe(true);
  });

  test("of Keras 3: with all of it in force", async () => {
    const adamax = await read({
      module: "keras.optimizers",
      class_name: "Adamax",
      registered_name: null,
      config: { ...common, learning_rate: 0.25, loss_scale_factor: 2, gradient_accumulation_steps: 3 },
    });
    expect(adamax.getConfig()).toMatchObject({
      ...common,
      learning_rate: 0.25,
      loss_scale_factor: 2,
      gradient_accumulation_steps: 3,
    });
  });

  test("of Keras' old optimizer: its decay of the rate goes on", async () => {
    const adamax = await read({
      class_name: "Adamax",
      config: { name: "Adamax", learning_rate: 0.5, decay: 1, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 },
    });
    const w = tf.variable(tf.scalar(1));
    adamax.applyGradients([{ name: w.name, tensor: tf.scalar(1) }]);
    expect(adamax.learningRate).toBe(0.25);
  });

  test("with a key that is unknown: an error that names it", async () => {
    await expect(read({ class_name: "Adamax", config: { ...common, learning_rate: 1, amsgrad: true } })).rejects.toThrow(
      "amsgrad",
    );
  });
});

test("a model that TensorFlow.js' own Adamax trained loads into ours, with its options", async () => {
  const model = compile(twoLayers(), tf.train.adamax(0.25, 0.5, 0.75, 0.125, 0));
  vi.spyOn(model.optimizer, "getWeights").mockResolvedValue([]); // it cannot save its state
  const loaded = await load(await saved(model));
  expect(loaded.optimizer).toBeInstanceOf(Adamax);
  expect(loaded.optimizer.getConfig()).toMatchObject({ learning_rate: 0.25, beta_1: 0.5, beta_2: 0.75, epsilon: 0.125 });
});
