/** An optimizer of the core as a pair of pure functions, in the style of Optax. Nothing is kept between calls: the state is an argument. */

import { defaultDevice, numpy as np, tree } from "@jax-js/jax";
import { OptionError, ShapeError, show } from "../errors.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import { stepSettingsOf } from "../optimizer/options.js";
import { type ClassSettings, RowClasses } from "../optimizer/row-classes.js";
import { ARRAYS, type Program } from "../rule/program.js";
import { composeStep, type KeptArray, keptArrays, type StepSettings, type StepVariant } from "../rule/step-program.js";
import { bindRule, type UpdateRule } from "../rule/update-rule.js";
import { Variable } from "../variable.js";
import { type Job, runStep } from "./lower.js";
import { checkJaxOptions, type JaxSettings, type Tree } from "./options.js";
import { rateOf } from "./rate.js";
import { checkLike, dtypesOf, leavesOf, pathsOf, treeOf } from "./tree.js";

/** A class of the core's optimizers. */
export interface OptimizerClass {
  new (options: never): Optimizer<never>;
  readonly rule: UpdateRule;
}

/** What a step needs to know of those before it. Plain trees of arrays: `jit` takes them, and so does any way of saving them. */
export type State = {
  /** Steps so far: an int32 scalar. */
  count: np.Array;
  /** By name ("momentum", "norm", "average"), each a tree like the parameters. */
  arrays: { [name: string]: Tree };
};

type Rate = np.Array | number;
type Arrays = Record<string, np.Array>;
type Variant = Omit<StepVariant, "dtype" | "decays">;

/** Cleared of tiny numbers in every step: in a graph that costs nothing to speak of. */
const PLAIN: Variant = { accumulatesOnly: false, flushesSlots: true, startsAverage: false, overwrites: false };

/** All functions take over the arrays that they are given, as jax-js' own do: pass `params.ref` (`tree.ref(params)`) to keep them.
 *  One that throws has taken nothing. */
export class Transformation {
  readonly #options: JaxSettings;
  readonly #rule: UpdateRule;
  readonly #stepSettings: StepSettings;
  readonly #kept: readonly KeptArray[];
  readonly #programs = new Map<string, Program>();

  constructor(rule: UpdateRule, options: Readonly<Record<string, unknown>>) {
    this.#rule = rule;
    this.#options = checkJaxOptions(rule, options);
    this.#stepSettings = stepSettingsOf(this.#options.settings);
    this.#kept = keptArrays(rule.slots, this.#stepSettings);
  }

  /** The state before the first step.
   *  @throws ShapeError for parameters that are neither float32 nor float64. */
  init<Params extends Tree>(params: Params): State {
    dtypesOf(params);
    const arrays = Object.fromEntries(
      this.#kept.map(({ role, name }) => [
        name,
        treeOf(
          params,
          leavesOf<np.Array>(params).map((leaf) => (role === "average" ? leaf.ref : np.zerosLike(leaf.ref))),
        ),
      ]),
    );
    tree.dispose(params);
    return { count: int(0), arrays };
  }

  /** What to add to the parameters, and the next state. Adding rounds once more: `step` gives the rule's own numbers.
   *  @throws ShapeError when gradients or state do not fit the parameters, or these are missing. */
  update<Params extends Tree>(
    grads: Params,
    state: State,
    params?: Params,
    learningRate?: Rate,
  ): [updates: Params, state: State] {
    if (params === undefined)
      throw new ShapeError(
        `${this.#rule.name} computes updates from the parameters too`,
        "no parameters",
        "Call update(grads, state, params).",
      );
    const [values, next] = this.#advance(params, grads, state, learningRate);
    const before = leavesOf<np.Array>(params);
    const updates = values.map((value, i) => value.sub(before[i]!)); // takes params
    tree.dispose([grads, state]);
    return [treeOf(params, updates), next];
  }

  /** The parameters after one step, and the next state. `learningRate`, a number or a scalar, stands in for the option in this step.
   *  @throws ShapeError when gradients or state do not fit the parameters. */
  step<Params extends Tree>(params: Params, grads: Params, state: State, learningRate?: Rate): [params: Params, state: State] {
    const [values, next] = this.#advance(params, grads, state, learningRate);
    tree.dispose([params, grads, state]);
    return [treeOf(params, values), next];
  }

  /** Takes the learning rate alone. */
  #advance(params: Tree, grads: Tree, state: State, learningRate: Rate | undefined): [values: np.Array[], state: State] {
    const missing = this.#kept.map(({ name }) => name).filter((name) => !(name in state.arrays));
    if (missing.length > 0)
      throw new ShapeError(
        `The state must also have ${missing.join(", ")}`,
        Object.keys(state.arrays).join(", ") || "no arrays",
        "Pass what init or the step before returned, of an optimizer with the same options.",
      );
    checkLike(params, grads, "Gradients");
    for (const [name, array] of Object.entries(state.arrays)) checkLike(params, array, `State ${show(name)}`);
    const classes = this.#classesOf(params);
    const kept = this.#kept.map(({ array, name }) => [array, state.arrays[name]!] as const);
    const leaves = [["w", params] as const, ["g", grads] as const, ...kept].map(
      ([name, one]) => [name, leavesOf<np.Array>(one)] as const,
    );
    const arrays = classes.map((_, i) => Object.fromEntries(leaves.map(([name, own]) => [name, own[i]!])));

    const rate = learningRate ?? rateOf(this.#options, state.count);
    const results = this.#results({ classes, arrays, rate, count: state.count });
    if (typeof rate !== "number") rate.dispose();

    const after = this.#kept.map(({ array, name }) => [
      name,
      treeOf(
        params,
        results.map((result, i) => result[array] ?? arrays[i]![array]!.ref),
      ),
    ]);
    const next = { count: state.count.ref.add(int(1)), arrays: Object.fromEntries(after) as State["arrays"] };
    return [results.map(({ w }) => w!), next];
  }

  /** The moving averages, a tree like the parameters: the weights to use after training. The state stays yours.
   *  @throws OptionError unless useEma is on. */
  averages<Params extends Tree>(state: State): Params {
    const { average } = state.arrays;
    if (average) return tree.ref(average) as Params;
    throw new OptionError("There are no averages", "useEma=false", "Make the optimizer with useEma: true.");
  }

  /** The settings of each parameter. */
  #classesOf(params: Tree): ClassSettings[] {
    const { settings, mask } = this.#options;
    const paths = pathsOf(params);
    // They stand for the parameters where the core looks for names.
    const variables = dtypesOf(params).map((dtype, i) => new Variable(new ARRAYS[dtype](0), { name: paths[i]! }));
    const decays = mask === null ? null : leavesOf(typeof mask === "function" ? mask(params) : mask);
    if (decays && (decays.length !== variables.length || decays.some((decay) => typeof decay !== "boolean")))
      throw new OptionError(
        `The mask must be a tree of ${variables.length} booleans, one for each parameter`,
        show(decays),
        "Make it like the parameters.",
      );
    const classes = new RowClasses(settings);
    classes.exclude({ variables: variables.filter((_, i) => decays?.[i] === false), names: [] });
    return variables.map((variable) => classes.list[classes.placeOf(variable)]!);
  }

  /** The new arrays of each parameter. Which variant of the step is due depends on the count, which a graph does not know: it
   *  computes those that may be, and selects. */
  #results(step: Step): Arrays[] {
    const { useEma, emaStart, emaOverwriteFrequency } = this.#options.settings;
    const { accumulationSteps } = this.#stepSettings;
    const { count, arrays } = step;
    const updates = accumulationSteps === 1 ? count.ref : np.floorDivide(count.ref, int(accumulationSteps));
    const number = updates.add(int(1));
    const run = (variant: Partial<Variant>) => this.#run(step, number, { ...PLAIN, ...variant });
    const isMultiple = (of: np.Array, factor: number) => np.equal(np.remainder(of, int(factor)), 0);

    let results = run({});
    if (useEma && emaOverwriteFrequency !== null)
      results = select(isMultiple(number.ref, emaOverwriteFrequency), run({ overwrites: true }), results, arrays);
    if (useEma && emaStart === "firstStep")
      results = select(np.equal(number.ref, int(1)), run({ startsAverage: true }), results, arrays); // there the average is w
    if (accumulationSteps > 1)
      results = select(isMultiple(count.ref.add(int(1)), accumulationSteps), results, run({ accumulatesOnly: true }), arrays);
    number.dispose();
    return results;
  }

  #run({ classes, arrays, rate }: Step, number: np.Array, variant: Variant): Arrays[] {
    const jobs = classes.map((own, i): Job => {
      const scalar = (value: number) => np.array(value, { dtype: np[own.dtype] });
      const { learningRateMultiplier: multiplier } = own;
      const learningRate =
        typeof rate === "number" ? scalar(rate * multiplier) : rate.ref.astype(np[own.dtype]).mul(scalar(multiplier));
      return {
        program: this.#program(own, variant),
        arrays: arrays[i]!,
        parameters: { learningRate, weightDecay: scalar(own.weightDecay), step: number.ref },
      };
    });
    const results = runStep(jobs, widest());
    for (const { parameters } of jobs) tree.dispose(parameters);
    return results;
  }

  #program({ dtype, decays }: ClassSettings, variant: Variant): Program {
    const key = JSON.stringify([dtype, decays, variant]);
    let program = this.#programs.get(key);
    if (!program) {
      const rule = bindRule(this.#rule, this.#options.hyper);
      program = composeStep(this.#rule.slots, rule, this.#stepSettings, { dtype, decays, ...variant });
      this.#programs.set(key, program);
    }
    return program;
  }
}

/** What one step is made of; an entry for each parameter. */
interface Step {
  readonly classes: readonly ClassSettings[];
  readonly arrays: readonly Arrays[];
  readonly rate: Rate;
  readonly count: np.Array;
}

const int = (value: number): np.Array => np.array(value, { dtype: np.int32 });

/** `yes` where the condition holds, else `no`; what one of them does not name stays as it was. */
const select = (condition: np.Array, yes: readonly Arrays[], no: readonly Arrays[], before: readonly Arrays[]): Arrays[] => {
  const selected = before.map((old, i) => {
    const names = Object.keys({ ...yes[i], ...no[i] });
    const of = (results: readonly Arrays[], name: string) => results[i]![name] ?? old[name]!.ref;
    return Object.fromEntries(names.map((name) => [name, np.where(condition.ref, of(yes, name), of(no, name))]));
  });
  condition.dispose();
  return selected;
};

/** Norms are summed in float64 where the device has it. */
const widest = (): np.DType => (["wasm", "cpu"].includes(defaultDevice()) ? np.float64 : np.float32);
