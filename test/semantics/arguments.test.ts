/** What JavaScript may pass where TypeScript would not: an error that says what was expected, and nothing has changed after it. */

import { Adamax, IndexedSlices, OptionError, ShapeError, type Variable } from "adamax";
import { describe, expect, test } from "vitest";
import { expectError, f32, type Parts, read, variable } from "./helpers.js";

type Loose = Record<string, (...given: unknown[]) => unknown>;

/** A fresh optimizer, and one that has made a step; each with its variable. */
const optimizers = () => {
  const [fresh, trained] = [1, 2].map(() => ({ optimizer: new Adamax(), w: variable([1, 2]) }));
  trained!.optimizer.applyGradients([[f32(1, -1), trained!.w]]);
  return [fresh!, trained!];
};

/** Neither a step nor a build happened. */
const refusedByBoth = async (method: string, given: (w: Variable) => unknown[], kind: typeof OptionError, parts: Parts) => {
  for (const { optimizer, w } of optimizers()) {
    const before = [optimizer.iterations, await read(w), w.owner];
    expectError(() => (optimizer as unknown as Loose)[method]!(...given(w)), kind, parts);
    expect([optimizer.iterations, await read(w), w.owner]).toEqual(before);
  }
};

describe("applyGradients", () => {
  test.each<[string, unknown[], string]>([
    ["nothing", [], "undefined"],
    ["null", [null], "null"],
    ["a number", [5], "5"],
    ["a text", ["pairs"], '"pairs"'],
    ["an object", [{ w: f32(1, 1) }], "an object (Object)"],
    ["a promise", [Promise.resolve([])], "an object (Promise)"],
    ["a gradient", [f32(1, 1)], "Float32Array of length 2"],
  ])("%s is no list of pairs", async (_, given, arrived) => {
    const wanted = "gradientsAndVariables of applyGradients must be a list of pairs [gradient, variable]";
    await refusedByBoth("applyGradients", () => given, OptionError, [
      wanted,
      `gradientsAndVariables=${arrived}`,
      "Give such a value",
    ]);
  });

  test.each<[string, (w: Variable) => unknown[], string]>([
    ["one pair without a list around it", (w) => [[f32(1, 1), w]], "Float32Array of length 2"],
    ["a list of gradients and one of variables", (w) => [[f32(1, 1)], [w]], "Float32Array of length 2"],
    ["null among the pairs", () => [[null]], "null"],
    ["an object instead of a pair", (w) => [[{ gradient: f32(1, 1), variable: w }]], "an object (Object)"],
    ["a pair the wrong way round", (w) => [[[w, f32(1, 1)]]], "[an object (Variable), Float32Array of length 2]"],
    ["a map from variables to gradients", (w) => [new Map([[w, f32(1, 1)]])], "[an object (Variable), Float32Array of length 2]"],
  ])("%s is refused", async (_, given, arrived) => {
    await refusedByBoth("applyGradients", given, ShapeError, ["Each pair is [gradient, variable]", arrived, "Pass pairs of"]);
  });

  test("a pair without a variable is refused", async () => {
    const parts: Parts = ["A variable is made of a Float32Array or a Float64Array", "undefined", "Convert it"];
    await refusedByBoth("applyGradients", () => [[[f32(1, 1)]]], ShapeError, parts);
  });

  test.each<[unknown, string]>([
    [[0], "[0]"],
    ["0", '"0"'],
    [0n, "0n"],
    [null, "null"],
    [Symbol("0"), "Symbol(0)"],
    [0.5, "0.5"],
  ])("a row that is no integer is shown as what it is", async (row, arrived) => {
    const slices = new IndexedSlices(f32(1), [row] as number[]);
    const parts: Parts = ["names a row that is not there", `indices[0] = ${arrived}`, "It has 2 rows"];
    await refusedByBoth("applyGradients", (w) => [[[slices, w]]], ShapeError, parts);
  });
});

describe("state", () => {
  test.each<[string, string, unknown, Parts]>([
    ["setWeights", "null", null, ["weights of setWeights must be a list of arrays", "weights=null", "Give such a value"]],
    ["setWeights", "an object", {}, ["weights of setWeights must be a list", "weights=an object (Object)", "Give such a value"]],
    ["loadOwnVariables", "null", null, ["store of loadOwnVariables must be an object", "store=null", "Give such a value"]],
    ["setWeights", "null in the list", [[1], null, f32(1, 1)], ["array 1 of", "array 1=null", "Give such a value"]],
    ["setWeights", "a text in the list", [[1], "ab", f32(1, 1)], ["array 1 of", 'array 1="ab"', "Give such a value"]],
    ["setWeights", "texts in an array", [[1], f32(1, 1), ["a", "b"]], ["array 2 of", 'array 2=["a", "b"]', "Give such a value"]],
  ])("%s refuses %s", async (method, _, given, parts) => {
    await refusedByBoth(method, () => [given], OptionError, parts);
  });
});

describe("variables", () => {
  test.each<[unknown, string]>([
    [null, "null"],
    [5, "5"],
    [variable([1]), "an object (Variable)"],
  ])("build and extend take a list and not %s", (given, arrived) => {
    const parts: Parts = ["variables of build must be a list of variables", `variables=${arrived}`, "Give such a value"];
    expectError(() => new Adamax().build(given as never), OptionError, parts);
    expectError(() => new Adamax().extend(given as never), OptionError, parts);
  });
});

describe("options under the names of other libraries", () => {
  test.each<[string, string]>([
    ["eps", "epsilon"],
    ["beta_1", "beta1"],
    ["b2", "beta2"],
    ["betas", "beta1"],
    ["momentum", "beta1"],
    ["ema", "useEma"],
    ["ema_decay", "emaMomentum"],
    ["weight_decay", "weightDecay"],
    ["wd", "weightDecay"],
    ["clip_norm", "clipnorm"],
    ["max_grad_norm", "globalClipnorm"],
    ["lossScale", "lossScaleFactor"],
    ["accumulation_steps", "gradientAccumulationSteps"],
    ["schedule", "learningRate"],
    ["jit", "jitCompile"],
    ["mask", "groups"],
  ])("%s: did you mean %s?", (given, meant) => {
    expectError(() => new Adamax({ [given]: 1 }), OptionError, [
      "Adamax has no such option",
      `${given}=1`,
      `Did you mean ${meant}?`,
    ]);
  });

  test("in a group, lr is the multiplier", () => {
    const parts: Parts = ["groups[0] has no such option", "lr=2", "Did you mean learningRateMultiplier?"];
    expectError(() => new Adamax({ groups: [{ names: ["w"], lr: 2 } as object] }), OptionError, parts);
  });

  test.each(["rho", "label", "swa", "nesterov"])("%s is like none of ours: the error lists them", (given) => {
    expectError(() => new Adamax({ [given]: 1 }), OptionError, ["Adamax has no such option", `${given}=1`, "It takes name, "]);
  });
});
