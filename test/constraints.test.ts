/** Keras' constraints: what tf_keras made of the same arrays (fixtures/constraints.py), and where they are called. */

import { readFileSync } from "node:fs";
import { Adamax, type Constraint, constraints, earlyStopping, fit, Variable } from "adamax";
import { describe, expect, test } from "vitest";
import { camelCase } from "../src/spelling.js";

interface Golden {
  readonly kind: string;
  readonly options: Record<string, unknown>;
  readonly shape: readonly number[];
  readonly value: string;
  readonly after: string;
}
const { constraints: goldens } = JSON.parse(readFileSync(new URL("../fixtures/constraints.json", import.meta.url), "utf8")) as {
  constraints: Golden[];
};

const decode = (text: string) => new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
const make = ({ kind, options }: Golden): Constraint => {
  const name = (kind[0]!.toLowerCase() + kind.slice(1)) as keyof typeof constraints;
  const camel = Object.fromEntries(Object.entries(options).map(([key, value]) => [camelCase(key), value]));
  return (constraints[name] as (options?: object) => Constraint)(kind === "NonNeg" ? undefined : camel);
};
const ulps = (a: number, b: number) =>
  Math.abs(a - b) / 2 ** (Math.floor(Math.log2(Math.max(Math.abs(a), Math.abs(b), 2 ** -126))) - 23);

test.each(goldens.map((golden) => [`${golden.kind} ${JSON.stringify(golden.options)} on [${golden.shape}]`, golden] as const))(
  "%s",
  (_, golden) => {
    const value = decode(golden.value);
    make(golden)(value, new Variable(value, { shape: golden.shape }));
    const expected = decode(golden.after);
    // tf_keras sums, takes the root, divides and multiplies in float32, in an order of its own; here the norm is float64 and one product rounds.
    for (let i = 0; i < value.length; i++) expect(ulps(value[i]!, expected[i]!)).toBeLessThanOrEqual(4);
  },
);

test("goldens are there for each constraint", () => {
  expect([...new Set(goldens.map(({ kind }) => kind))]).toEqual(["NonNeg", "MaxNorm", "UnitNorm", "MinMaxNorm"]);
});

test("a constraint that was not made (nonNeg for nonNeg()) is refused, whatever the length of the variable", () => {
  using optimizer = new Adamax();
  const constraint = constraints.nonNeg as unknown as Constraint;
  const w = new Variable(Float32Array.of(-1), { name: "w", constraint });
  expect(() => optimizer.applyGradients([[Float32Array.of(1), w]])).toThrow(
    /The constraint of variable "w".*must return all values, or nothing\. Received: a function.*Change them in place/,
  );
});

test("restoreBestWeights keeps constraints, where the best averages would not", async () => {
  using optimizer = new Adamax({ learningRate: 0.5, useEma: true, emaMomentum: 0.9 });
  const w = new Variable(Float32Array.of(-5), { constraint: constraints.nonNeg() });
  await fit({
    optimizer,
    data: [1],
    epochs: 3,
    loss: () => ({ loss: 0, gradients: [[Float32Array.of(-1), w]] }),
    callbacks: [earlyStopping({ monitor: "loss", restoreBestWeights: true })],
    progress: "none",
  });
  expect(w.value[0]).toBe(0);
});

describe("a constraint", () => {
  test("holds after each update, and after the averages have become the values", () => {
    const w = new Variable(Float32Array.of(-3, 1), { constraint: constraints.nonNeg() });
    using optimizer = new Adamax({ useEma: true });
    for (let i = 0; i < 3; i++) {
      optimizer.applyGradients([[Float32Array.of(1, 1), w]]);
      expect(w.value[0]).toBe(0);
    }
    optimizer.finalizeVariableValues(); // the average of the first began at -3
    expect(w.value[0]).toBe(0);
  });

  test("that is no function is refused at the door, and told how it is written", () => {
    const constraint = "nonNeg" as unknown as Constraint;
    expect(() => new Variable(Float32Array.of(1), { name: "w", constraint })).toThrow(
      /constraint of Variable must be a function, such as constraints\.nonNeg\(\)\. Received: constraint="nonNeg"/,
    );
  });

  test.each<[string, () => unknown, RegExp]>([
    [
      "an option that is unknown",
      () => constraints.maxNorm({ max: 1 } as never),
      /maxNorm has no such option.*Did you mean maxValue|maxNorm has no such option/,
    ],
    ["a value out of range", () => constraints.minMaxNorm({ rate: 2 }), /rate of minMaxNorm must be a finite number in \[0, 1\]/],
    [
      "an axis that the variable has not",
      () => constraints.unitNorm({ axis: 1 })(Float32Array.of(1), new Variable(Float32Array.of(1))),
      /axes that the variable has\. Received: axis 1/,
    ],
  ])("%s is refused", (_, act, message) => expect(act).toThrow(message));
});
