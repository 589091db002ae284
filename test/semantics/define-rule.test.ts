/** A rule that cannot be one is refused in words: when it is defined, or when its first step is composed. */

import {
  constant,
  decayRate,
  defineRule,
  Expression,
  globalNorm,
  max,
  min,
  norm,
  Optimizer,
  OptionError,
  schedules,
  sign,
  type UpdateRule,
} from "adamax";
import { describe, expect, test } from "vitest";
import { expectError, f32, type Parts, step, thrown, variable } from "./helpers.js";

/** A rule as JavaScript would pass it. */
const define = (parts: object) =>
  defineRule({
    name: "Mine",
    slots: ["momentum"],
    hyperparameters: { beta: decayRate(0.9) },
    update: ({ w, g, momentum: m }: Inputs) => ({ w: w.sub(g), momentum: m.add(g) }),
    ...parts,
  } as unknown as UpdateRule);

/** What such a rule might think that an expression has. */
type Loose = Expression & Record<"matmul" | "mean" | "abs" | "subtract", (other?: unknown) => Expression>;
type Inputs = Record<"w" | "g" | "momentum", Loose>;

const refused = (act: () => unknown, parts: Parts) => expectError(act, OptionError, parts);

describe("when it is defined", () => {
  const part = (name: string, wanted: string, value: unknown, arrived: string): [string, object, Parts] => [
    `${name}: ${arrived}`,
    { [name]: value },
    [`${name} of defineRule must be ${wanted}`, `${name}=${arrived}`, "Give such a value"],
  ];
  const collision = (what: string, slots: string[], name: string): [string, object, Parts] => [
    what,
    { slots },
    ["needs names that differ: w, g, the hyperparameters and the slots", `${name} twice`, "Rename one"],
  ];

  test.each<[string, object, Parts]>([
    part("name", "a string that is not empty", undefined, "undefined"),
    part("update", "a function", undefined, "undefined"),
    part("slots", "an array, each element a word", "m", '"m"'),
    part("slots", "an array, each element a word", undefined, "undefined"),
    ...["", "a/b", "1st", "two words", "__proto__"].map((slot) => part("slots", "an array", [slot], `["${slot}"]`)),
    part("hyperparameters", "an object such as { beta1: decayRate(0.9) }", undefined, "undefined"),
    part("hyperparameters", "an object such as { beta1: decayRate(0.9) }", ["beta"], '["beta"]'),
    part("leastDecay", "a function", 0.5, "0.5"),
    ["a part that there is not", { slot: ["m"] }, ["defineRule has no such option", 'slot=["m"]', "Did you mean slots?"]],
    ...["w", "g", "beta"].map((name) => collision(`a slot called ${name}`, [name], name)),
    collision("two slots of one name", ["m", "m"], "m"),
  ])("%s is refused", (_, parts, message) => refused(() => define(parts), message));

  test.each(["learningRate", "weightDecay", "name", "backend", "lr", "decay", "mesh", "beta_1", "learning_rate", "a b", ""])(
    "a hyperparameter called %j is refused: it could not be an option",
    (name) => {
      refused(
        () => define({ hyperparameters: { [name]: decayRate(0.9) } }),
        ["A hyperparameter of Mine becomes an option", `"${name}"`, "Rename it"],
      );
    },
  );

  test.each<[unknown, string]>([
    [0.9, "0.9"],
    [null, "null"],
    [decayRate, "a function (decayRate)"],
    [{ byDefault: 0.9 }, "an object (Object)"],
    [{ byDefault: 0.9, wanted: "a number" }, "an object (Object)"],
  ])("a hyperparameter without a range is refused, with what to write: %s", (beta, arrived) => {
    refused(
      () => define({ hyperparameters: { beta } }),
      ["beta of Mine must say its range", `beta: ${arrived}`, "Write beta: decayRate(x)"],
    );
  });

  test.each([1.5, -1, Number.NaN, undefined])("decayRate(%s) is refused: a default out of its range", (byDefault) => {
    refused(
      () => define({ hyperparameters: { beta: decayRate(byDefault as number) } }),
      ["The default of beta of Mine must be a finite number in [0, 1)", `${byDefault}`, "Choose one in this range"],
    );
  });

  test.each([null, undefined, 5])("%s is no rule: the error says what a rule has", (rule) => {
    const wanted = "It takes name, slots, hyperparameters, leastDecay, update";
    refused(() => defineRule(rule as never), ["defineRule takes one object", `${rule}`, wanted]);
  });

  test("a number that must be given is a hyperparameter without a default", () => {
    const rule = define({ hyperparameters: { beta: { wanted: "a number", holds: () => true } } });
    class Mine extends Optimizer<"beta"> {
      static override readonly rule = rule;
    }
    refused(() => new Mine(), ["beta of Mine must be a number", "beta=undefined", "Give such a value."]);
    expect(new Mine({ beta: 3 }).hyperparameters).toEqual({ beta: 3 });
  });

  test("the list of slots is the one that was checked", () => {
    const slots = ["momentum"];
    const rule = define({ slots });
    slots.push("w");
    expect(rule.slots).toEqual(["momentum"]);
  });
});

describe.each(["wasm", "interpreter"] as const)("when its first step is composed (%s)", (backend) => {
  /** One step, of size 0.5, on a variable that is 1. */
  const run = (update: unknown) => {
    class Mine extends Optimizer<"beta"> {
      static override readonly rule = define({ update });
    }
    return step(new Mine({ backend }), [f32(0.5), variable([1])]);
  };
  const must = "The update of Mine must return { w, momentum }: an expression for each, and nothing else";
  const METHODS = "Use the methods add, sub";

  test.each<[string, unknown, arrived: string]>([
    ["not a slot", ({ w, g }: Inputs) => ({ w: w.sub(g) }), "an object (Object), with momentum: undefined"],
    ["not the variable", ({ momentum }: Inputs) => ({ momentum: momentum.mul(2) }), "an object (Object), with w: undefined"],
    ["nothing", () => undefined, "undefined, with w: undefined"],
    ["a number", ({ momentum }: Inputs) => ({ w: 1, momentum }), "an object (Object), with w: 1"],
    ["a promise", async ({ w, momentum }: Inputs) => ({ w: w.mul(2), momentum }), "an object (Promise), with w: undefined"],
  ])("an update that returns %s is refused", (_, update, arrived) => {
    refused(() => run(update), [must, arrived, "Return a slot that stays as it is as it came"]);
  });

  test("a name that was not declared is refused, with the nearest one that was", () => {
    const returned = "an object (Object), with momentun: an object (Expression)";
    refused(() => run(({ w, g }: Inputs) => ({ w: w.sub(g), momentun: g })), [must, returned, "Did you mean momentum?"]);
  });

  test("a rule that changes nothing is refused", () => {
    const same = ({ w, momentum }: Inputs) => ({ w, momentum });
    refused(() => run(same), ["The update of Mine changes nothing", "w, momentum as they came", "Return what"]);
  });

  test.each<[string, (g: number) => unknown]>([
    ["g > 0", (g) => g > 0],
    ["2 * g", (g) => 2 * g],
    ["g + 1", (g) => g + 1],
    ["Math.sqrt(g)", (g) => Math.sqrt(g)],
    ["a text with g in it", (g) => `${g}`],
  ])("%s is refused: an expression has no value", (_, use) => {
    const update = ({ w, g, momentum }: Inputs) => ({ w: use(g as unknown as number) ? w.sub(g) : w, momentum });
    refused(() => run(update), ["An expression has no value", "g > 0, 2 * g or the like", METHODS]);
  });

  test.each<[string, (inputs: Inputs) => Expression]>([
    ["g.matmul is not a function", ({ w, g }) => w.sub(g.matmul(g))],
    ["g.mean is not a function", ({ w, g }) => w.sub(g.mean())],
    ["g.abs is not a function", ({ w, g }) => w.sub(g.abs())],
    ["w.subtract is not a function", ({ w, g }) => w.subtract(g)],
  ])("%s: refused, with what there is", (arrived, next) => {
    const update = (inputs: Inputs) => ({ w: next(inputs), momentum: inputs.momentum });
    refused(() => run(update), ["The update of Mine cannot be recorded", arrived, METHODS]);
  });

  test("a slot that was not declared is refused where it is used", () => {
    const used = ({ w, momentum, velocity }: Record<string, Expression>) => ({ w: w!.sub(velocity!.mul(2)), momentum });
    const { message } = thrown(() => used({ w: {} as Expression })); // every engine says it in its own words
    refused(() => run(used), ["The update of Mine cannot be recorded", message, METHODS]);
    const operand = ({ w, momentum, velocity }: Record<string, Expression>) => ({ w: w!.sub(velocity!), momentum });
    refused(() => run(operand), ["A rule computes with expressions and numbers", "undefined", METHODS]);
  });

  test("a hyperparameter that was not declared is refused, also where arithmetic has made NaN of it", () => {
    const update = ({ w, momentum }: Inputs, _: unknown, { beta2 }: Record<string, number>) => ({
      w: w.mul(1 - beta2!),
      momentum,
    });
    refused(() => run(update), ["A rule computes with expressions and numbers", "NaN", METHODS]);
  });

  test.each([norm, globalNorm])("a norm of what has no elements is refused", (of) => {
    const update = ({ w, momentum }: Inputs) => ({ w: w.mul(of(constant(1))), momentum });
    refused(() => run(update), ["A norm is taken over elements", "a scalar", "Write abs(x)"]);
  });

  test("an error that the rule throws itself is passed on as it is", () => {
    const own = new RangeError("mine");
    const update = () => {
      throw own;
    };
    expect(thrown(() => run(update))).toBe(own);
  });

  test("of three operands max and min take all", async () => {
    const update =
      (of: typeof max) =>
      ({ w, g, momentum }: Inputs) => ({ w: of(g, w.neg(), 0.75, w.mul(2)), momentum });
    expect([await run(update(max)), await run(update(min))]).toEqual([[[2]], [[-1]]]);
    refused(
      () => run(({ w, momentum }: Inputs) => ({ w: max(w, undefined as never), momentum })),
      ["A rule computes with expressions and numbers", "undefined", METHODS],
    );
  });

  test("the sign of a number is one", async () => {
    const update = ({ w, g, momentum }: Inputs) => ({ w: w.mul(sign(-3)).add(g.mul(sign(0))), momentum });
    expect(await run(update)).toEqual([[-1]]);
  });

  test("a right rule makes its step", async () => {
    expect(await run(({ w, g, momentum }: Inputs) => ({ w: w.sub(g), momentum }))).toEqual([[0.5]]);
  });
});

test("a leastDecay that is no share is refused: slots would be cleared of tiny numbers too late", () => {
  class Mine extends Optimizer<"beta"> {
    static override readonly rule = define({ leastDecay: ({ beta2 }: Record<string, number>) => 1 - beta2! });
  }
  refused(() => new Mine(), ["leastDecay of Mine must be a finite number in [0, 1]", "leastDecay=NaN", "Give such a value"]);
});

test("what a rule can be written in is said whole: every method of an expression is in the message", () => {
  class Mine extends Optimizer {
    static override readonly rule = define({ update: () => norm(undefined as never) });
  }
  const { message } = thrown(() => step(new Mine(), [f32(0.5), variable([1])]));
  const methods = Object.getOwnPropertyNames(Expression.prototype).filter((name) => name !== "constructor");
  expect(methods.length).toBeGreaterThan(5);
  for (const method of methods) expect(message).toMatch(new RegExp(`\\b${method}\\b.*, the functions `));
});

test("a rule that was not defined by defineRule is refused, for every adapter: nothing of it was checked", () => {
  class Bare extends Optimizer {
    static override readonly rule = { ...define({}) };
  }
  for (const rule of [Bare.rule, {}, 5, null, undefined]) {
    class Mine extends Optimizer {
      static override readonly rule = rule as never;
    }
    expect(() => new Mine()).toThrow(/rule of a subclass of Optimizer must be what defineRule returned\. Received: rule=/);
  }
});

test.each([5, null, {}])("serialize(%j) is refused", (schedule) => {
  expect(() => schedules.serialize(schedule as never)).toThrow(
    /schedule of serialize must be a schedule with at\(step\)\. Received: schedule=.*Give such a value/,
  );
});
