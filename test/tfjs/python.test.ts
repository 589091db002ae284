/** Models that tf_keras and Keras 3 wrote and tensorflowjs_converter converted, trained on beside Python. */

import { CheckpointError } from "adamax";
import { Adamax, pythonModel, registerAdamax } from "adamax/tfjs";
import { beforeAll, describe, expect, test } from "vitest";
import configs from "../../fixtures/configs.json";
import fixture from "../../fixtures/tfjs-converted.json";
import { tf, use, usual } from "./backends.js";
import { compile, train, twoLayers } from "./models.js";

beforeAll(async () => {
  await use(usual);
  registerAdamax();
});

const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "base64"));
const floatsOf = (text: string) => new Float32Array(bytesOf(text).buffer);

type Converted = (typeof fixture.models)[number];
type Config = Record<string, unknown>;
type Topology = { model_config: Config & { compile_config?: Config }; training_config?: Config };

const [x, y] = [floatsOf(fixture.x), floatsOf(fixture.y)];
/** tf_keras' own, which TensorFlow.js can read. */
const readable = (fixture.models as Converted[])[0]!;

/** TensorFlow.js 4.22 reads no topology of Keras 3 (its input layers have a batch_shape), nor its names of weights: those are tf_keras', of
 *  the same layers and values. What Keras 3 wrote about the training stays where the converter put it. */
const handlerOf = ({ model }: Converted): tf.io.IOHandler => {
  const weightSpecs = readable.model.weightsManifest[0]!.weights;
  const topology = model.modelTopology as unknown as Topology;
  const read = readable.model.modelTopology as unknown as Topology;
  const { compile_config } = topology.model_config;
  const modelTopology = {
    ...topology,
    model_config: { ...read.model_config, ...(compile_config ? { compile_config } : {}) },
  };
  return {
    load: async () => ({ modelTopology, weightSpecs: weightSpecs as never, weightData: bytesOf(readable.weights).buffer }),
  };
};

const rows = fixture.models.map((row) => [`${row.written_by}, ${row.what}`, row as Converted] as const);

describe.each(rows)("%s", (_, row) => {
  test("loads, and goes on as in Python", async () => {
    const model = await tf.loadLayersModel(pythonModel(handlerOf(row)));
    expect(model.optimizer).toBeInstanceOf(Adamax);
    const [xs, ys] = [tf.tensor2d(x, [16, 3]), tf.tensor2d(y, [16, 1])];
    const losses: number[] = [];
    for (const _step of row.losses) losses.push((await model.trainOnBatch(xs, ys)) as number);
    // Loss and gradients come from another library, in float32: 5e-8 and, in the weights, 2.4e-7 measured, where values are below 1.
    for (const [i, loss] of losses.entries()) expect(Math.abs(loss - row.losses[i]!)).toBeLessThan(2e-7);
    for (const [i, weight] of model.getWeights().entries()) {
      const wanted = floatsOf(row.after[i]!);
      for (const [e, value] of weight.dataSync().entries()) expect(Math.abs(value - wanted[e]!)).toBeLessThan(5e-7);
    }
  });

  test("without pythonModel, TensorFlow.js leaves its training aside", async () => {
    expect((await tf.loadLayersModel(handlerOf(row))).optimizer).toBeUndefined();
  });
});

const written = configs.configs.filter(({ what }) => what.includes("an .h5 file") && !what.startsWith("loss scale"));
const withTraining = (training: object): tf.io.IOHandler => ({
  load: async () => {
    const artifacts = await handlerOf(readable).load!();
    return { ...artifacts, modelTopology: { ...(artifacts.modelTopology as Topology), training_config: training } };
  },
});

test.each(written.map((row) => [`${row.written_by}, ${row.what}`, row.json] as const))(
  "%s: with all of it in force",
  async (_, json) => {
    const { optimizer_config } = json as unknown as { optimizer_config: { config: Config } };
    const { optimizer } = await tf.loadLayersModel(pythonModel(withTraining(json)));
    const { jit_compile: _here, is_legacy_optimizer: _old, learning_rate, ...wanted } = optimizer_config.config;
    const { learning_rate: rate, ...config } = optimizer.getConfig() as Config;
    // Keys that only one of the libraries has are written where they say something.
    for (const [name, value] of Object.entries(wanted)) expect([name, config[name] ?? null]).toEqual([name, value]);
    if (typeof learning_rate === "number") expect(rate).toBe(learning_rate);
    else
      expect(rate).toMatchObject({
        className: "CosineDecay",
        config: { decay_steps: 1000, warmup_target: 0.1, warmup_steps: 50 },
      });
  },
);

test("a configuration that was moved to where TensorFlow.js looks loads as well, under the name that tf_keras writes", async () => {
  const training = (readable.model.modelTopology as unknown as Topology).training_config!;
  expect((training.optimizer_config as Config).class_name).toBe("Custom>Adamax");
  const artifacts = await handlerOf(readable).load!();
  const trainingConfig = { ...training, loss: "mean_squared_error", metrics: null } as never;
  const model = await tf.loadLayersModel({ load: async () => ({ ...artifacts, trainingConfig }) });
  expect(model.optimizer.getConfig()).toMatchObject({ clipnorm: 0.25, weight_decay: 0.1, use_ema: true });
});

test("a model that TensorFlow.js saved passes through unchanged", async () => {
  const model = compile(twoLayers(), new Adamax({ learningRate: 0.1, clipvalue: 1 }));
  await train(model, 3);
  let artifacts: tf.io.ModelArtifacts | undefined;
  const keep = tf.io.withSaveHandler(async (given) => {
    artifacts = given;
    return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
  });
  await model.save(keep, { includeOptimizer: true });
  const loaded = await tf.loadLayersModel(pythonModel(tf.io.fromMemory(artifacts!) as tf.io.IOHandler));
  expect(await train(loaded, 5)).toEqual(await train(model, 5));
});

test("a name alone, as Keras 3 writes compile(optimizer='adamax'), is an Adamax with defaults", async () => {
  const loaded = async (compile_config: object) => {
    const artifacts = await handlerOf(readable).load!();
    const { model_config } = artifacts.modelTopology as Topology;
    const handler = {
      load: async () => ({ ...artifacts, modelTopology: { model_config: { ...model_config, compile_config } } }),
    };
    return tf.loadLayersModel(pythonModel(handler));
  };
  const { optimizer } = await loaded({ optimizer: "adamax", loss: "mse" });
  expect(optimizer).toBeInstanceOf(Adamax);
  expect(optimizer.getConfig()).toEqual(new Adamax().getConfig());
});

test("losses by output keep their names, short ones spelled out", async () => {
  const { trainingConfig } = await pythonModel(
    withTraining({ optimizer_config: { class_name: "Adamax", config: {} }, loss: { a: "mae", b: ["hinge"] } }),
  ).load!();
  expect(trainingConfig).toMatchObject({ loss: { a: "mean_absolute_error", b: ["hinge"] } });
});

test("what cannot be carried over is an error that says what to do", async () => {
  const optimizer_config = { class_name: "Adamax", config: {} };
  const loss = { class_name: "Huber", config: { delta: 2 } };
  await expect(pythonModel(withTraining({ optimizer_config, loss })).load!()).rejects.toThrow(
    /loss only where it is a name.*Huber/s,
  );
  const bare = { load: async () => ({ modelTopology: { model_config: {} } }) };
  await expect(pythonModel(bare).load!()).rejects.toThrow(CheckpointError);
  await expect(pythonModel(bare).load!()).rejects.toThrow("brings no training configuration");
});
