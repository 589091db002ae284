/** Groups and exclusions in a file mean variables by their names; no pattern of a file is searched for. */

import { Adamax, type AdamaxOptions, Variable } from "adamax";
import { checkpointBlob, inspectCheckpoint, loadCheckpoint, readKeras } from "adamax/checkpoint";
import { describe, expect, test } from "vitest";
import { encodeTensors } from "../../src/checkpoint/format/tensors.js";
import { describe as describeContent } from "../../src/checkpoint/state.js";
import { Selections } from "../../src/optimizer/selections.js";
import { rejection } from "./helpers.js";

/** Searching for it in NAME takes longer than any test may. */
const EVIL = "^(a+)+$";
const NAME = `${"a".repeat(40)}!`;

const one = (name: string) => new Variable(Float32Array.of(1), { name });
const variables = () => ["w", "w", "bias", NAME].map(one);

/** Each variable by its name in a file: what holds for it. */
const numbersOf = async (optimizer: Adamax) =>
  Object.fromEntries(
    (await inspectCheckpoint(await checkpointBlob({ optimizer }))).variables.map(
      ({ name, learningRateMultiplier, weightDecay }) => [name, [learningRateMultiplier, weightDecay]],
    ),
  );

const built = (make: (all: readonly Variable[]) => AdamaxOptions, excluded: readonly number[] = []): Adamax => {
  const all = variables();
  const optimizer = new Adamax(make(all));
  optimizer.excludeFromWeightDecay({ variables: excluded.map((i) => all[i]!) });
  optimizer.build(all);
  return optimizer;
};

const settings: [string, Adamax][] = [
  ["groups by pattern", built(() => ({ groups: [{ names: ["^b"], learningRateMultiplier: 2, weightDecay: 0.5 }] }))],
  [
    "a group by identity, of two that have one name",
    built(([, second]) => ({ groups: [{ variables: [second!], learningRateMultiplier: 2 }] })),
  ],
  ["a group without decay", built(([first]) => ({ weightDecay: 0.1, groups: [{ variables: [first!], weightDecay: 0 }] }))],
  ["a group that is excluded", built(([w]) => ({ weightDecay: 0.1, groups: [{ variables: [w!], weightDecay: 0.5 }] }), [0, 2])],
  ["exclusions", built(() => ({ weightDecay: 0.1 }), [1, 3])],
];

describe("an optimizer made from a file gives each variable what held for it", () => {
  test.each(settings)("%s", async (_, optimizer) => {
    const blob = await checkpointBlob({ optimizer });
    const { optimizer: fromFile } = await loadCheckpoint(blob, { optimizer: Adamax });
    expect(await numbersOf(fromFile)).toEqual(await numbersOf(optimizer));
    const own = variables();
    const { optimizer: forOwn } = await loadCheckpoint(blob, { optimizer: Adamax, variables: own });
    expect(await numbersOf(forOwn)).toEqual(await numbersOf(optimizer));
    expect(forOwn.trainableVariables).toEqual(own);
  });

  test("plain arrays, and saves it again", async () => {
    const [a, b] = [Float32Array.of(1), Float32Array.of(2)];
    const optimizer = new Adamax({ weightDecay: 0.1, groups: [{ variables: [b], learningRateMultiplier: 3 }] });
    optimizer.excludeFromWeightDecay({ variables: [a] });
    optimizer.build([a, b]);
    const numbers = { variable_0: [1, 0], variable_1: [3, 0.1] };
    expect(await numbersOf(optimizer)).toEqual(numbers);
    const arrays = [Float32Array.of(0), Float32Array.of(0)];
    const loaded = await loadCheckpoint(await checkpointBlob({ optimizer }), { optimizer: Adamax, variables: arrays });
    expect(await numbersOf(loaded.optimizer)).toEqual(numbers);
  });

  test("weight decay that is given anew spares what was excluded, also where there was none before", async () => {
    for (const weightDecay of [null, 0.1]) {
      const blob = await checkpointBlob({ optimizer: built(() => ({ weightDecay }), [2]) });
      const { optimizer } = await loadCheckpoint(blob, { optimizer: Adamax, options: { weightDecay: 0.7 } });
      expect(await numbersOf(optimizer)).toEqual({ w: [1, 0.7], "w#2": [1, 0.7], bias: [1, 0], [NAME]: [1, 0.7] });
    }
  });

  test("groups that are given take the place of the file's", async () => {
    const blob = await checkpointBlob({ optimizer: built(() => ({ groups: [{ names: ["w"], learningRateMultiplier: 9 }] })) });
    const options = { groups: [{ names: ["bias"], learningRateMultiplier: 2 }] };
    const { optimizer } = await loadCheckpoint(blob, { optimizer: Adamax, options });
    expect(await numbersOf(optimizer)).toMatchObject({ w: [1, 0], bias: [2, 0] });
  });

  test("more different settings than can be compiled in reasonable time are refused", async () => {
    const all = Array.from({ length: 2001 }, (_, i) => one(`${i}`));
    using optimizer = new Adamax({ groups: all.map((v, i) => ({ variables: [v], learningRateMultiplier: 2 + i })) });
    const blob = await checkpointBlob({ optimizer, variables: all });
    expect((await rejection(loadCheckpoint(blob, { optimizer: Adamax }))).message).toContain(
      "more than 2000 different settings of variables. Received: 2001",
    );
  });
});

test("a checkpoint holds names, and no pattern", async () => {
  const { optimizer: saved } = await inspectCheckpoint(await checkpointBlob({ optimizer: settings[3]![1] }));
  expect(saved.excluded).toEqual(["w", "bias"]);
  expect(saved.config).not.toHaveProperty("groups");
});

/** As it was written before: with patterns. */
const older = async (optimizer: Adamax, config: object, excluded: readonly object[]): Promise<Uint8Array> => {
  const { tensors, metadata } = describeContent({ optimizer });
  const saved = JSON.parse(metadata.optimizer!);
  const text = JSON.stringify({ ...saved, config: { ...saved.config, ...config }, excluded });
  const { pieces } = encodeTensors(tensors, { ...metadata, optimizer: text });
  const copies: Uint8Array[] = [];
  for await (const piece of pieces) copies.push(piece.slice());
  return Buffer.concat(copies);
};

describe("older files, with patterns", () => {
  test("are read by the numbers of each variable; the patterns are not searched for", async () => {
    const optimizer = built(([w]) => ({ weightDecay: 0.1, groups: [{ variables: [w!], learningRateMultiplier: 2 }] }), [3]);
    const groups = [{ names: [EVIL, { source: EVIL, flags: "i" }], learning_rate_multiplier: 2, weight_decay: null }];
    const file = await older(optimizer, { groups }, [{ source: EVIL, flags: "" }]);
    expect((await inspectCheckpoint(file)).optimizer.excluded).toEqual([NAME]);
    const { optimizer: loaded } = await loadCheckpoint(file, { optimizer: Adamax });
    expect(await numbersOf(loaded)).toEqual(await numbersOf(optimizer));
    await loadCheckpoint(file, {
      optimizer: built(([w]) => ({ weightDecay: 0.1, groups: [{ variables: [w!], learningRateMultiplier: 2 }] }), [3]),
    });
  });

  test("are read also where a pattern is none", async () => {
    const file = await older(
      built(() => ({})),
      { groups: [{ names: ["("] }] },
      [{ source: "(", flags: "zz" }],
    );
    expect((await loadCheckpoint(file, { optimizer: Adamax })).optimizer.iterations).toBe(0);
  });
});

describe("a model.json", () => {
  const model = (names: readonly unknown[]) => {
    const weights = ["a.b", NAME].map((name) => ({ name, shape: [1], dtype: "float32" }));
    const config = { learning_rate: 0.1, weight_decay: 0.1, groups: [{ names, learning_rate_multiplier: 2, weight_decay: 0.5 }] };
    const json = {
      modelTopology: { model_config: {} },
      trainingConfig: { optimizer_config: { class_name: "Adamax", config } },
      weightsManifest: [{ paths: ["w"], weights }],
    };
    return readKeras({ "model.json": new TextEncoder().encode(JSON.stringify(json)), w: new Uint8Array(8) });
  };

  test("means variables by exactly their names", async () => {
    const { optimizer } = (await model([{ name: "^a\\.b$" }, "^gone$"])).restore();
    expect(await numbersOf(optimizer as Adamax)).toEqual({ "a.b": [2, 0.5], [NAME]: [1, 0.1] });
  });

  test.each([{ name: EVIL }, EVIL, { name: "^a$", flags: "i" }, "a", 5])(
    "%o is not searched for: groups are given again",
    async (pattern) => {
      const read = await model([pattern]);
      expect(() => read.restore()).toThrow(/by a pattern, which is not searched for.*Give the groups again: restore\(\{ groups/);
      const { optimizer } = read.restore({ groups: [{ names: ["^a"], learningRateMultiplier: 3 }] });
      expect(await numbersOf(optimizer as Adamax)).toEqual({ "a.b": [3, 0.1], [NAME]: [3, 0.1] });
    },
  );
});

describe("selections", () => {
  test("the first that names a variable counts, by identity or by pattern, with or without state in the pattern", () => {
    const [a, b, c] = [one("a"), one("b"), one("c")];
    const array = Float32Array.of(1);
    const selections = new Selections();
    for (const [variables, names] of [
      [[b], []],
      [[], [/[ab]/g, /C/iy]],
      [[a, b, array], ["."]],
    ] as const)
      selections.add({ variables, names });
    const places = [a, b, c, one("d"), new Variable(array, { adopt: false, name: "" }), one("")];
    for (let i = 0; i < 2; i++) expect(places.map((variable) => selections.placeOf(variable))).toEqual([1, 0, 1, 2, 2, Infinity]);
  });

  test("a variable is found by identity in one look-up, however many there are", () => {
    const all = Array.from({ length: 8000 }, (_, i) => one(`${i}`));
    let compared = 0;
    const counted = new Proxy(all, {
      get: (target, key) => {
        compared++;
        return Reflect.get(target, key);
      },
    });
    const selections = new Selections();
    selections.add({ variables: counted, names: [] });
    for (const variable of all) expect(selections.placeOf(variable)).toBe(0);
    expect(compared).toBeLessThan(3 * all.length);
  });
});
