/** What is given to an optimizer for TensorFlow.js is checked at the door. */

import { beforeAll, describe, expect, test } from "vitest";
import { CheckpointManager } from "../../src/checkpoint/index.js";
import { Adamax as CoreAdamax, Optimizer as CoreOptimizer, fit, OptionError, schedules, Variable } from "../../src/index.js";
import { Adamax, pythonModel, resume, tfOptimizer } from "../../src/tfjs/index.js";
import { tf, usual } from "./backends.js";

beforeAll(async () => {
  await tf.setBackend(usual);
});

// biome-ignore lint/suspicious/noExplicitAny: what JavaScript may pass
const Untyped = Adamax as any;

describe("arguments in the order of tf.train.adamax are refused, with the line that they become", () => {
  test.each<[string, unknown[], RegExp]>([
    ["a rate", [0.1], /Received: 0\.1\. Write new Adamax\({ learningRate: 0\.1 }\)/],
    ["a rate and beta1", [0.1, 0.9], /Write new Adamax\({ learningRate: 0\.1, beta1: 0\.9 }\)/],
    ["true", [true], /takes one object of options\. Received: true\. Write new Adamax\({ learningRate: 0\.001 }\)/],
    ["null", [null], /Received: null/],
    ["options and more", [{}, 0.9], /takes one object of options\. Received: .*, 0\.9\. Write them all into the first/],
    [
      "a schedule",
      [new schedules.CosineDecay({ initialLearningRate: 1, decaySteps: 2 })],
      /Write new Adamax\({ learningRate: \.\.\. }\)/,
    ],
    ["a function", [() => 0.1], /Received: a function\. Write new Adamax\({ learningRate: \.\.\. }\)/],
    ["a list", [[]], /Received: \[\]\. Write new Adamax\({ learningRate: 0\.001 }\)/],
    ["a Map", [new Map([["learningRate", 0.1]])], /Received: an object \(Map\)/],
  ])("%s", (_, given, message) => {
    expect(() => new Untyped(...given)).toThrow(message);
    const Made = tfOptimizer(CoreAdamax) as typeof Untyped;
    expect(() => new Made(...given)).toThrow(message);
  });
});

test("a tensor in the place of options is refused, with what to write", () => {
  expect(() => new Untyped(tf.scalar(0.1))).toThrow(
    /Received: an object \(Tensor\)\. Write new Adamax\({ learningRate: \.\.\. }\)/,
  );
});

describe("a tf.Variable as learning rate", () => {
  test.each([
    ["two rates", () => tf.tensor1d([0.1, 0.2]), "float32[2]"],
    ["whole numbers", () => tf.scalar(1, "int32"), "int32[]"],
  ])("%s: refused, when made and when assigned", (_, value, received) => {
    const learningRate = tf.variable(value());
    const message = `A tf.Variable given as learningRate is one float32. Received: ${received}.`;
    expect(() => new Adamax({ learningRate })).toThrow(message);
    const optimizer = new Adamax();
    expect(() => {
      optimizer.learningRate = learningRate;
    }).toThrow(message);
  });

  test("takes a number in any shape of one element, and none that is no rate", () => {
    const learningRate = tf.variable(tf.tensor2d([[0.5]]));
    const optimizer = new Adamax({ learningRate });
    optimizer.learningRate = 0.25;
    for (const wrong of [-1, Number.NaN, 1e39])
      expect(() => {
        optimizer.learningRate = wrong;
      }).toThrow(/^learningRate of Adamax must be a finite number of 0 or more that float32 holds\. Received: learningRate=/);
    expect([optimizer.learningRate, ...learningRate.dataSync()]).toEqual([0.25, 0.25]);
  });
});

test("a gradient that is a cast from int32 is one of float32", () => {
  const w = tf.variable(tf.tensor1d([1, 2]));
  new Adamax({ learningRate: 0.5 }).applyGradients({ [w.name]: tf.tensor1d([1, -3], "int32").cast("float32") });
  expect([...w.dataSync()].map((value) => value.toFixed(3))).toEqual(["0.500", "2.500"]);
});

test.each([undefined, null, 5])("minimize(%s) is refused in words", (loss) => {
  expect(() => new Untyped().minimize(loss)).toThrow(`loss of minimize must be a function. Received: loss=${loss}.`);
});

describe("state that is none is refused in words", () => {
  const tensor = () => tf.scalar(1, "int32");
  const disposed = () => {
    const gone = tensor();
    gone.dispose();
    return gone;
  };
  test.each<[string, () => unknown, RegExp]>([
    ["null", () => null, /begins with "iter"\. Received: null/],
    ["a number", () => 5, /begins with "iter"\. Received: 5/],
    ["an empty list", () => [], /begins with "iter"/],
    ["nothing in a list", () => [null], /begins with "iter"/],
    ["a name alone", () => [{ name: "iter" }], /is a list of \{ name, tensor \}.*Received: "iter"/],
    ["a tensor that was disposed of", () => [{ name: "iter", tensor: disposed() }], /of tensors that are there/],
    [
      "a variable's own name",
      () => [
        { name: "iter", tensor: tensor() },
        { name: "w", tensor: tensor() },
      ],
      /Received: "w"/,
    ],
    ["null behind the first", () => [{ name: "iter", tensor: tensor() }, null], /Received: null/],
  ])("%s", async (_, make, message) => {
    await expect(new Untyped().setWeights(make())).rejects.toThrow(message);
  });

  test.each([null, 5, "adamax"])("fromConfig(%j)", (config) => {
    expect(() => Adamax.fromConfig(config as never)).toThrow(/config of fromConfig must be an object/);
  });

  test("the decay of a legacy optimizer beside a schedule, or below 0", () => {
    for (const config of [{ decay: -1 }, { decay: 1, learning_rate: { class_name: "ExponentialDecay", config: {} } }])
      expect(() => Adamax.fromConfig(config)).toThrow(
        /(decay|learning_rate) of a configuration with decay must be a finite number of 0 or more/,
      );
  });

  test("a variable that was disposed of", () => {
    const w = tf.variable(tf.scalar(1), true, "gone_before");
    w.dispose();
    expect(() => new Adamax().build([w])).toThrow(/"gone_before", which was disposed of/);
  });
});

test.each([5, null, class {}, Adamax, CoreOptimizer, {}])("tfOptimizer(%s) is refused", (given) => {
  expect(() => tfOptimizer(given as never)).toThrow(/must be a class that extends Optimizer of adamax, with a rule/);
});

test("a manager in the place of a callback is led to checkpoints, here and in fit of the core", async () => {
  const manager = new CheckpointManager("/nowhere");
  const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1] })] });
  model.compile({ optimizer: new Adamax(), loss: "meanSquaredError" });
  const message = /A CheckpointManager is no callback.*Pass checkpoints\(manager\)/;
  for (const callbacks of [manager, [{}, manager]])
    await expect(model.fit(tf.ones([2, 1]), tf.ones([2, 1]), { verbose: 0, callbacks: callbacks as never })).rejects.toThrow(
      message,
    );
  const w = new Variable(new Float32Array(1));
  const loss = () => ({ loss: 0, gradients: [[new Float32Array(1), w] as const] });
  const given = { optimizer: new CoreAdamax(), data: [1], loss, callbacks: [manager as never], progress: "none" } as const;
  await expect(fit(given)).rejects.toThrow(message);
});

test.each<[unknown, unknown, RegExp]>([
  [null, new CheckpointManager("x"), /models that an optimizer of adamax\/tfjs trains\. Received: null/],
  [undefined, new CheckpointManager("x"), /Received: undefined/],
  [tf.sequential(), "folder", /resume takes a CheckpointManager.*Received: "folder"/],
])("resume of %s from %s is refused in words", async (model, manager, message) => {
  await expect(resume(model as never, manager as never)).rejects.toThrow(message);
});

test.each([[null], [undefined], [{}], [{ names: [null] }], [5]])("groups: [%j] of a configuration are refused", (group) => {
  expect(() => Adamax.fromConfig({ groups: [group] } as never)).toThrow(OptionError);
  expect(() => Adamax.fromConfig({ exclude_from_weight_decay: [group] } as never)).toThrow(OptionError);
});

test("fromConfig of what is no class of optimizers is refused in words", () => {
  const { fromConfig } = Adamax;
  for (const call of [() => Adamax.fromConfig((() => {}) as never, {}), () => Reflect.apply(fromConfig, undefined, [{}])])
    expect(call).toThrow(/a class without a core\. Make one by tfOptimizer/);
});

test.each([5, null, "", {}])("pythonModel(%j) is refused when it is written, not when it is loaded", (source) => {
  expect(() => pythonModel(source as never)).toThrow(/source of pythonModel must be .* a function load/);
});

describe("variables that are none are refused in words", () => {
  const names = ["build", "finalizeVariableValues", "resetAverages", "excludeFromWeightDecay"] as const;
  test.each(
    names.flatMap((name) => [5, null, [null], [5], [{ read: () => tf.ones([2]) }], "w"].map((given) => [name, given] as const)),
  )("%s of %j", (name, given) => {
    const optimizer = new Untyped({ useEma: true });
    if (name !== "excludeFromWeightDecay")
      expect(() => optimizer[name](given)).toThrow(/must be a list of |is a tf\.Variable, or/);
    else if (given !== null)
      expect(() => optimizer[name]({ variables: given })).toThrow(/must be a list of |is a tf\.Variable, or/);
  });

  test.each([
    [["bias"], /It takes variables, names/],
    [{ name: ["bias"] }, /Did you mean names\?/],
    [null, /one object of options/],
  ])("excludeFromWeightDecay(%j) excludes nothing in silence", (given, message) => {
    expect(() => new Untyped().excludeFromWeightDecay(given)).toThrow(message as RegExp);
  });

  test("one that is in no list, for a group", () => {
    expect(() => new Untyped({ groups: [{ variables: tf.variable(tf.scalar(1)) }] })).toThrow(
      /variables of groups\[0\] must be an array/,
    );
    expect(() => new Untyped({ groups: [{ variables: [5] }] })).toThrow(
      /is a tf\.Variable, or the weight of a layer\. Received: 5/,
    );
  });
});

describe("gradients that cannot be used are refused in words", () => {
  const optimizer = () => new Untyped({ learningRate: 0.1 });
  const w = () => tf.variable(tf.tensor1d([1, 2]));

  test.each<[string, (w: tf.Variable) => unknown, RegExp]>([
    ["nothing", () => undefined, /takes tensors by the names.*Received: undefined.*tf\.variableGrads/],
    ["pairs, as the core takes them", (w) => [[tf.ones([2]), w]], /by the names of their variables/],
    ["an array of numbers", (w) => ({ [w.name]: Float32Array.of(1, 2) }), /by the names of their variables/],
    ["all that tf.variableGrads gives", () => ({ value: tf.scalar(1), grads: {} }), /by the names of their variables/],
    [
      "a tensor of another shape",
      (w) => ({ [w.name]: tf.ones([3]) }),
      /must have its shape, \[2\]\. Received: a tensor of shape \[3\]/,
    ],
    ["a Map", (w) => new Map([[w.name, tf.ones([2])]]), /by the names of their variables\. Received: an object \(Map\)/],
    ["a promise", () => Promise.resolve({}), /by the names of their variables\. Received: an object \(Promise\)/],
    [
      "a name of every object's",
      () => ({ constructor: tf.ones([2]) }),
      /knows no variable of this name\. Received: "constructor"/,
    ],
    ["a name that is unknown", () => ({ nobody: tf.ones([2]) }), /knows no variable of this name\. Received: "nobody"/],
  ])("%s", (_, make, message) => {
    const variable = w();
    expect(() => optimizer().applyGradients(make(variable))).toThrow(message);
  });

  test.each(["learningRate", "beta1", "clipnorm"])("a tensor that was disposed of, as %s", (name) => {
    const tensor = tf.scalar(0.1);
    tensor.dispose();
    const message = new RegExp(`The tensor given as ${name} was disposed of\\..*pass a number`);
    expect(() => new Untyped({ [name]: tensor })).toThrow(message);
    if (name !== "learningRate") return;
    const adamax = optimizer();
    expect(() => {
      adamax.learningRate = tensor;
    }).toThrow(message);
    const rate = tf.variable(tf.scalar(0.1));
    const steered = new Untyped({ learningRate: rate });
    rate.dispose();
    const variable = w();
    expect(() => steered.applyGradients({ [variable.name]: tf.ones([2]) })).toThrow(message);
  });

  test("a tensor that was disposed of", () => {
    const variable = w();
    const gradient = tf.ones([2]);
    gradient.dispose();
    expect(() => optimizer().applyGradients({ [variable.name]: gradient })).toThrow(/was disposed of/);
  });

  test.each([5, "x", { wieght: 1 }, { weight: -1 }])("options that are none, %j", (options) => {
    const variable = w();
    const step = () => optimizer().applyGradients({ [variable.name]: tf.ones([2]) }, options);
    expect(step).toThrow(OptionError);
  });

  test("after tf.disposeVariables", () => {
    const variable = w();
    const adamax = optimizer();
    adamax.applyGradients({ [variable.name]: tf.ones([2]) });
    tf.disposeVariables();
    expect(() => adamax.applyGradients({ [variable.name]: tf.ones([2]) })).toThrow(/knows no variable of this name/);
  });
});
