/** An optimizer of the core as a pair of pure functions, in the style of Optax. Nothing is kept between calls: the state is an argument. */

import { defaultDevice, numpy as np, tree } from "@jax-js/jax";
import { OptionError, ShapeError } from "../errors.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import { checkRounded, stepSettingsOf } from "../optimizer/options.js";
import { type ClassSettings, RowClasses } from "../optimizer/row-classes.js";
import { compile } from "../rule/compile.js";
import { type Expression, element, ifPositive, parameter } from "../rule/expression.js";
import { ARRAYS, type DType, type Program } from "../rule/program.js";
import { type KeptArray, keptArrays, recordStep, type StepSettings, type StepVariant } from "../rule/step-program.js";
import { bindRule, type UpdateRule } from "../rule/update-rule.js";
import { Variable } from "../variable.js";
import { type JobClass, runStep } from "./lower.js";
import { checkJaxOptions, type JaxSettings } from "./options.js";
import { checkRate, type Rate, rateOf } from "./rate.js";
import { arraysLike, assertThere, describe, dtypesOf, leavesLike, leavesOf, pathsOf, type Tree, treeOf } from "./tree.js";

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

type Variant = Omit<StepVariant, "dtype" | "decays">;

/** Cleared of tiny numbers in every step: in a graph that costs nothing to speak of. */
const PLAIN: Variant = { accumulatesOnly: false, flushesSlots: true, startsAverage: false, overwrites: false };

/** All functions take over the arrays that they are given, as jax-js' own do: pass `params.ref` (`tree.ref(params)`) to keep them.
 *  One that throws has taken nothing. */
export class Transformation {
  readonly #options: JaxSettings;
  readonly #rule: UpdateRule;
  readonly #stepSettings: StepSettings;
  /** The arrays of the state. */
  readonly #kept: readonly KeptArray[];
  readonly #names: readonly string[];
  readonly #programs = new Map<string, Program>();
  /** Whether somebody has been told of patterns that match nothing. */
  #hasLooked = false;

  constructor(rule: UpdateRule, options: Readonly<Record<string, unknown>>) {
    this.#rule = rule;
    this.#options = checkJaxOptions(rule, options);
    this.#stepSettings = stepSettingsOf(this.#options.settings);
    this.#kept = keptArrays(rule.slots, this.#stepSettings);
    this.#names = this.#kept.map(({ name }) => name);
  }

  /** The state before the first step.
   *  @throws ShapeError for parameters that are neither float32 nor float64; OptionError for a number that a parameter's dtype cannot hold. */
  init<Params extends Tree>(params: Params): State {
    this.#dtypesOf(params);
    assertThere({ Parameters: params });
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
    if (!params)
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
    const classes = this.#classesOf(params);
    const arrays = this.#arraysOf(params, grads, state);
    assertThere({ Parameters: params, Gradients: grads, "The state": { count: state.count, ...state.arrays } });
    const programs = new Map(classes.map((own) => [own, this.#program(own)]));
    const rate = (learningRate ?? null) === null ? rateOf(this.#options, state.count) : checkRate(learningRate);
    const jobClasses = this.#jobClasses(programs, rate, state.count);
    const jobs = classes.map((own, i) => ({ class: jobClasses.get(own)!, arrays: arrays[i]! }));
    const results = runStep(jobs, widest());
    for (const { parameters } of jobClasses.values()) tree.dispose(parameters);
    if (typeof rate !== "number") rate.dispose();

    const after = this.#kept.map(({ array, name }) => [
      name,
      treeOf(
        params,
        results.map((result, i) => result[array] ?? arrays[i]![array]!.ref),
      ),
    ]);
    const next = { count: state.count.ref.add(int(1)), arrays: Object.fromEntries(after) as State["arrays"] };
    return [results.map(({ w }, i) => w ?? arrays[i]!.w!.ref), next];
  }

  /** The arrays of each parameter: its value, its gradient and its state.
   *  @throws ShapeError for a tree that is not like that of the parameters, or a state that is none. */
  #arraysOf(params: Tree, grads: Tree, state: State): Readonly<Record<string, np.Array>>[] {
    this.#assertState(state);
    const leaves = [
      ["w", leavesOf<np.Array>(params)] as const,
      ["g", arraysLike(params, grads, "Gradients")] as const,
      ...this.#kept.map(({ array, name }) => [array, arraysLike(params, state.arrays[name], `State "${name}"`)] as const),
    ];
    return leaves[0]![1].map((_, i) => Object.fromEntries(leaves.map(([name, own]) => [name, own[i]!])));
  }

  #assertState(state: State): void {
    const { count, arrays } = Object(state) as Partial<State>;
    const given = Object.keys(Object(arrays));
    if (describe(count) === "int32[]" && given.length === this.#names.length && this.#names.every((name) => given.includes(name)))
      return;
    throw new ShapeError(
      `The state must be { count: int32[], arrays: { ${this.#names.join(", ")} } }`,
      count === undefined && arrays === undefined
        ? describe(state)
        : `{ count: ${describe(count)}, arrays: ${describe(arrays)} }`,
      "Pass what init or the step before returned, of an optimizer with the same options.",
    );
  }

  /** The moving averages, a tree like the parameters: the weights to use after training. The state stays yours.
   *  @throws OptionError unless useEma is on. */
  averages<Params extends Tree>(state: State): Params {
    if (this.#stepSettings.emaMomentum === null)
      throw new OptionError("There are no averages", "useEma=false", "Make the optimizer with useEma: true.");
    this.#assertState(state);
    assertThere({ Averages: state.arrays.average });
    return tree.ref(state.arrays.average!) as Params;
  }

  #dtypesOf(params: Tree): DType[] {
    const dtypes = dtypesOf(params);
    if (dtypes.includes("float32")) checkRounded(this.#rule, this.#options.settings, this.#options.hyper);
    return dtypes;
  }

  /** The settings of each parameter. */
  #classesOf(params: Tree): ClassSettings[] {
    const { settings, mask } = this.#options;
    const paths = pathsOf(params);
    // They stand for the parameters where the core looks for names.
    const variables = this.#dtypesOf(params).map((dtype, i) => new Variable(new ARRAYS[dtype](0), { name: paths[i]! }));
    const decays = mask === null ? [] : leavesLike(params, typeof mask === "function" ? mask(params) : mask, "The mask");
    const wrong = decays.findIndex((decay) => typeof decay !== "boolean");
    if (wrong >= 0)
      throw new OptionError(
        `The mask for ${paths[wrong]} must be true or false`,
        describe(decays[wrong]),
        "Make it one of the two.",
      );
    const classes = new RowClasses(settings);
    classes.exclude({ variables: variables.filter((_, i) => decays[i] === false), names: [] });
    const places = variables.map((variable) => classes.placeOf(variable));
    if (!this.#hasLooked) classes.warnOfUnmatched(variables.map((variable) => ({ variable })));
    this.#hasLooked = true;
    return places.map((place) => classes.list[place]!);
  }

  /** The program of each class with its scalars in this step. */
  #jobClasses(programs: ReadonlyMap<ClassSettings, Program>, rate: Rate, count: np.Array): Map<ClassSettings, JobClass> {
    const { emaOverwriteFrequency } = this.#options.settings;
    const { accumulationSteps } = this.#stepSettings;
    const updates = accumulationSteps === 1 ? count.ref : np.floorDivide(count.ref, int(accumulationSteps));
    const step = updates.add(int(1));
    const isMultiple = (of: np.Array, factor: number) => np.equal(np.remainder(of, int(factor)), 0);
    const common = {
      step,
      [UPDATES]: isMultiple(count.ref.add(int(1)), accumulationSteps),
      [OVERWRITES]: isMultiple(step.ref, emaOverwriteFrequency ?? 1),
      [STARTS_AVERAGE]: np.equal(step.ref, int(1)),
    };
    const made = [...programs].map(([own, program]) => {
      const scalar = (value: number) => np.array(value, { dtype: np[own.dtype] });
      const { learningRateMultiplier: multiplier } = own;
      const learningRate =
        typeof rate === "number" ? scalar(rate * multiplier) : rate.ref.astype(np[own.dtype]).mul(scalar(multiplier));
      const parameters = { ...tree.ref(common), learningRate, weightDecay: scalar(own.weightDecay) };
      return [own, { program, parameters }] as const;
    });
    tree.dispose(common);
    return new Map(made);
  }

  /** One program for every step. Which variant of it is due depends on the count, which a graph does not know: it computes those that may be,
   *  and selects. */
  #program({ dtype, decays }: ClassSettings): Program {
    const key = `${dtype} ${decays}`;
    let program = this.#programs.get(key);
    if (!program) {
      program = compile(dtype, this.#record(decays));
      this.#programs.set(key, program);
    }
    return program;
  }

  #record(decays: boolean): Record<string, Expression> {
    const { useEma, emaStart, emaOverwriteFrequency } = this.#options.settings;
    const rule = bindRule(this.#rule, this.#options.hyper);
    const record = (variant: Partial<Variant>) =>
      recordStep(this.#rule.slots, rule, this.#stepSettings, { ...PLAIN, ...variant, decays });
    const where = (condition: string, yes: Expression, no: Expression) => ifPositive(parameter(condition), yes, no);

    const outputs: Record<string, Expression> = { ...record({}) };
    if (useEma && emaStart === "firstStep")
      outputs.average = where(STARTS_AVERAGE, record({ startsAverage: true }).average!, outputs.average!);
    if (useEma && emaOverwriteFrequency !== null) outputs.w = where(OVERWRITES, outputs.average!, outputs.w!);
    if (this.#stepSettings.accumulationSteps === 1) return outputs;
    const waiting = record({ accumulatesOnly: true });
    return Object.fromEntries(
      Object.entries(outputs).map(([name, value]) => [name, where(UPDATES, value, waiting[name] ?? element(name))]),
    );
  }
}

/** Scalars that select a variant: above 0 in a step that makes an update, whose average replaces the value, or begins. */
const [UPDATES, OVERWRITES, STARTS_AVERAGE] = ["updates", "overwrites", "startsAverage"] as const;

const int = (value: number): np.Array => np.array(value, { dtype: np.int32 });

/** Norms are summed in float64 where the device has it. */
const widest = (): np.DType => (["wasm", "cpu"].includes(defaultDevice()) ? np.float64 : np.float32);
