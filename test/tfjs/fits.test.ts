import { Adamax as CoreAdamax, schedules, Variable } from "adamax";
import { Adamax, type NamedGradient, type NamedGradients } from "adamax/tfjs";
import { afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { backends, tf, use, usual } from "./backends.js";
import { compile, data, train, twoLayers, wave, weightsOf } from "./models.js";

beforeAll(() => use(usual));
afterEach(() => tf.disposeVariables());

const averaging = () => new Adamax({ learningRate: 0.1, useEma: true, emaMomentum: 0.9 });
const fit = async (model: tf.LayersModel, args: tf.ModelFitArgs = {}) => {
  const { xs, ys } = data();
  return model.fit(xs, ys, { epochs: 2, batchSize: 8, shuffle: false, verbose: 0, ...args });
};

/** The weights just before `fit` ends. */
const lastStep = (): { callback: tf.CustomCallbackArgs; weights: () => number[][] } => {
  let weights: number[][] = [];
  let model: tf.LayersModel;
  const callback = new (class extends tf.Callback {
    override setModel(given: never) {
      model = given;
    }
    override async onEpochEnd() {
      weights = weightsOf(model);
    }
  })();
  return { callback: callback as never, weights: () => weights };
};

test("at the end of fit the averages are in the model", async () => {
  const model = compile(twoLayers(), averaging());
  const last = lastStep();
  await fit(model, { callbacks: last.callback as never });
  const average = (await model.optimizer.getWeights())
    .filter(({ name }) => name.endsWith("/average"))
    .map(({ tensor }) => [...tensor.dataSync()]);
  expect(weightsOf(model)).toEqual(average);
  expect(weightsOf(model)).not.toEqual(last.weights());
});

test("at the end of fitDataset too", async () => {
  const model = compile(twoLayers(), averaging());
  const { xs, ys } = data();
  const last = lastStep();
  await model.fitDataset(
    tf.data.array([
      { xs, ys },
      { xs, ys },
    ]),
    { epochs: 2, verbose: 0, callbacks: last.callback as never },
  );
  expect(weightsOf(model)).not.toEqual(last.weights());
});

test("a fit that is stopped ends with the averages", async () => {
  const model = compile(twoLayers(), averaging());
  let before: number[][] = [];
  await fit(model, {
    callbacks: {
      onBatchEnd: async () => {
        before = weightsOf(model);
        model.stopTraining = true;
      },
    },
  });
  expect(model.optimizer.iterations).toBeLessThan(8);
  expect(weightsOf(model)).not.toEqual(before);
});

test("a fit that throws leaves the last step; one call writes the averages", async () => {
  const model = compile(twoLayers(), averaging());
  const failing = async () => {
    throw new Error("out of coffee");
  };
  await expect(fit(model, { callbacks: { onEpochEnd: failing } })).rejects.toThrow("coffee");
  const before = weightsOf(model);
  (model.optimizer as Adamax).finalizeVariableValues();
  expect(weightsOf(model)).not.toEqual(before);
});

test("two models, each fitted twice: each ends with its own averages", async () => {
  const models = [compile(twoLayers(), averaging()), compile(twoLayers(), new Adamax({ learningRate: 0.01, useEma: true }))];
  for (const round of [1, 2])
    for (const model of models) {
      const last = lastStep();
      await fit(model, { callbacks: last.callback as never });
      expect(model.optimizer.iterations).toBe(8 * round);
      expect(weightsOf(model)).not.toEqual(last.weights());
    }
  expect(weightsOf(models[0]!)).not.toEqual(weightsOf(models[1]!));
});

test("two models that are fitted at the same time: each ends with its own averages", async () => {
  const models = [compile(twoLayers(), averaging()), compile(twoLayers(), new Adamax({ learningRate: 0.01, useEma: true }))];
  await Promise.all(models.map((model) => fit(model)));
  const alone = [compile(twoLayers(), averaging()), compile(twoLayers(), new Adamax({ learningRate: 0.01, useEma: true }))];
  for (const model of alone) await fit(model);
  expect(models.map(weightsOf)).toEqual(alone.map(weightsOf));
});

test("a fitDataset that is stopped ends with the averages, too; one that throws does not, and the next one does", async () => {
  const model = compile(twoLayers(), averaging());
  const { xs, ys } = data();
  let before: number[][] = [];
  const run = (onBatchEnd: () => void) =>
    model.fitDataset(tf.data.array([1, 2, 3].map(() => ({ xs, ys }))), {
      epochs: 2,
      verbose: 0,
      callbacks: {
        onBatchEnd: async () => {
          before = weightsOf(model);
          onBatchEnd();
        },
      },
    });
  await run(() => {
    model.stopTraining = true;
  });
  expect(model.optimizer.iterations).toBe(1);
  expect(weightsOf(model)).not.toEqual(before);
  const broken = run(() => {
    throw new Error("out of tea");
  });
  await expect(broken).rejects.toThrow("tea");
  expect(weightsOf(model)).toEqual(before);
  await run(() => {});
  expect(weightsOf(model)).not.toEqual(before);
  const averages = (await model.optimizer.getWeights()).filter(({ name }) => name.endsWith("/average"));
  expect(weightsOf(model)).toEqual(averages.map(({ tensor }) => [...tensor.dataSync()]));
});

test("a fit that TensorFlow.js' early stopping ends, ends with the averages", async () => {
  const model = compile(twoLayers(), averaging());
  const last = lastStep();
  const impatient = tf.callbacks.earlyStopping({ monitor: "loss", patience: 0, minDelta: 1e6 });
  await fit(model, { epochs: 50, callbacks: [last.callback, impatient] as never });
  expect(model.optimizer.iterations).toBeLessThan(50);
  expect(weightsOf(model)).not.toEqual(last.weights());
});

test("callbacks see the rate of a schedule as it goes down, and may set one that is a number", async () => {
  const learningRate = new schedules.ExponentialDecay({ initialLearningRate: 0.5, decaySteps: 4, decayRate: 0.5 });
  const model = compile(twoLayers(), new Adamax({ learningRate }));
  const seen: number[] = [];
  const onEpochEnd = async () => {
    seen.push((model.optimizer as Adamax).learningRate);
  };
  await fit(model, { epochs: 3, callbacks: { onEpochEnd } }); // 4 steps an epoch
  expect(seen).toEqual([0.25, 0.125, 0.0625]);

  const steered = new Adamax({ learningRate: 0.5 });
  const other = compile(twoLayers(), steered);
  const moved: boolean[] = [];
  let before = "";
  await fit(other, {
    epochs: 2,
    callbacks: {
      onEpochBegin: async (epoch) => {
        steered.learningRate = epoch === 0 ? 0.5 : 0;
        moved.push(false);
      },
      onBatchEnd: async () => {
        const weights = JSON.stringify(weightsOf(other));
        moved.push(weights !== before);
        before = weights;
      },
    },
  });
  expect(moved).toEqual([false, true, true, true, true, false, false, false, false, false]);
});

test("averages can be validated during fit, and training goes on as if they had not been", async () => {
  const validated = compile(twoLayers(), averaging());
  const adamax = validated.optimizer as Adamax;
  const { xs, ys } = data();
  const losses: number[] = [];
  const onEpochEnd = async () => {
    adamax.swapAverages();
    losses.push((validated.evaluate(xs, ys, { verbose: 0 }) as tf.Scalar).dataSync()[0]!);
    adamax.swapAverages();
  };
  await fit(validated, { callbacks: { onEpochEnd } });
  const plain = compile(twoLayers(), averaging());
  await fit(plain);
  expect(weightsOf(validated)).toEqual(weightsOf(plain));
  expect(losses.at(-1)).toBe((plain.evaluate(xs, ys, { verbose: 0 }) as tf.Scalar).dataSync()[0]);
});

test("a layer's constraint holds after each step of fit", async () => {
  const model = compile(twoLayers({ constraint: true }), new Adamax({ learningRate: 0.1 }));
  await fit(model);
  const columns = model.getWeights()[0]!.square().sum(0).sqrt().dataSync();
  for (const length of columns) expect(length).toBeCloseTo(1, 5);
});

test("a layer's constraint holds under trainOnBatch once the optimizer is built with the model's weights", async () => {
  const adamax = new Adamax({ learningRate: 0.1 });
  const model = compile(twoLayers({ constraint: true }), adamax);
  await train(model, 1); // the optimizer has seen the bare variables
  adamax.build(model.trainableWeights);
  await train(model, 3);
  for (const length of model.getWeights()[0]!.square().sum(0).sqrt().dataSync()) expect(length).toBeCloseTo(1, 5);
});

test("frozen layers stay, and train on from fresh state when they are unfrozen in the same run", async () => {
  const model = compile(twoLayers({ trainable: false }), new Adamax({ learningRate: 0.1 }));
  const [frozen, head] = model.layers.map((layer) => () => layer.getWeights().map((weight) => [...weight.dataSync()]));
  const before = [frozen!(), head!()];
  await train(model, 5);
  expect(frozen!()).toEqual(before[0]);
  expect(head!()).not.toEqual(before[1]);
  model.layers[0]!.trainable = true;
  compile(model, model.optimizer);
  await train(model, 5);
  expect(frozen!()).not.toEqual(before[0]);
  expect(model.optimizer.iterations).toBe(10);
});

test.each(backends)(
  "on %s, 100 rounds of create, fit, save, dispose leave no tensor behind",
  { timeout: 30_000 },
  async (backend) => {
    await use(backend);
    onTestFinished(() => use(usual));
    const keep = tf.io.withSaveHandler(async () => ({
      modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" },
    }));
    const { xs, ys } = data();
    const round = async () => {
      const model = compile(twoLayers({ constraint: true }), averaging());
      await model.fit(xs, ys, { batchSize: 16, verbose: 0 });
      await model.save(keep, { includeOptimizer: true });
      model.optimizer.dispose();
      model.dispose();
    };
    await round();
    const { numTensors, numBytes } = tf.memory();
    for (let i = 0; i < 100; i++) await round();
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
  },
);

test("a functional model with two inputs and two outputs: the same weights as the core's, given the same gradients", async () => {
  const inputs = [tf.input({ shape: [3] }), tf.input({ shape: [2] })];
  const kernelInitializer = tf.initializers.glorotUniform({ seed: 1 });
  const tower = (input: tf.SymbolicTensor) =>
    tf.layers.dense({ units: 4, activation: "tanh", kernelInitializer }).apply(input) as tf.SymbolicTensor;
  const joined = tf.layers.concatenate().apply(inputs.map(tower)) as tf.SymbolicTensor;
  const outputs = [1, 2].map((units) => tf.layers.dense({ units, kernelInitializer }).apply(joined) as tf.SymbolicTensor);
  const model = tf.model({ inputs, outputs });
  const options = { learningRate: 0.05, globalClipnorm: 0.5, weightDecay: 0.01, useEma: true, emaMomentum: 0.9 };
  const core = new CoreAdamax(options);
  const variables = model.trainableWeights.map(
    (weight) => new Variable(new Float32Array(weight.read().dataSync()), { name: weight.name }),
  );
  class Watched extends Adamax {
    override applyGradients(gradients: NamedGradients): void {
      const named = gradients as readonly NamedGradient[];
      const pairs = named.map(({ tensor }, i) => [new Float32Array(tensor!.dataSync()), variables[i]!] as const);
      core.applyGradients(pairs);
      super.applyGradients(gradients);
    }
  }
  model.compile({ optimizer: new Watched(options), loss: "meanSquaredError" });
  const xs = [tf.tensor2d(wave(48, 1), [16, 3]), tf.tensor2d(wave(32, 2), [16, 2])];
  const ys = [tf.tensor2d(wave(16, 3), [16, 1]), tf.tensor2d(wave(32, 4), [16, 2])];
  const { history } = await model.fit(xs, ys, { epochs: 20, batchSize: 8, verbose: 0 });
  const losses = history.loss as number[];
  expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]!);
  core.finalizeVariableValues();
  expect(weightsOf(model)).toEqual(variables.map(({ value }) => [...value]));
});
