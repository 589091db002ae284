/// <reference lib="esnext.disposable" preserve="true" />
/** The life of a step, around any update rule. */

import type { Backend, CompiledStep, Row, RowRequest, StepParameters, Values } from "../backend.js";
import { chooseBackend } from "../backends/choose.js";
import { type BackendError, OptionError, show } from "../errors.js";
import {
  callable,
  check,
  checkKinds,
  integerFrom,
  type Kind,
  type Kinds,
  listOf,
  numbers,
  object,
  oneOf,
  optional,
  refuse,
  sizes,
  text,
} from "../kinds.js";
import { Lifecycle } from "../lifecycle.js";
import { ARRAYS, type DType } from "../rule/program.js";
import type { Move } from "../rule/step-program.js";
import { definedRule, type UpdateRule } from "../rule/update-rule.js";
import type { deserialize } from "../schedules/index.js";
import { LearningRateSchedule, schedule } from "../schedules/schedule.js";
import { elementsIn, Variable } from "../variable.js";
import { Call, trainedOf } from "./call.js";
import { type Config, type Dialect, dialects, optionsFromConfig, toConfig } from "./configuration.js";
import {
  assertPair,
  checkLoss,
  type GradientAndVariable,
  type LossAndGradients,
  PAIRS,
  refuseTwice,
  variableOf,
} from "./gradients.js";
import {
  type BuildOptions,
  checkBuildOptions,
  checkOptions,
  checkRounded,
  checkSelection,
  checkStepOptions,
  type LearningRate,
  learningRate,
  type OptimizerOptions,
  plainNumber,
  plainRate,
  type Selection,
  type Settings,
  type StepOptions,
} from "./options.js";
import { RowClasses } from "./row-classes.js";
import {
  type OptimizerState,
  type Restoration,
  restorationOf,
  restore,
  type SavedState,
  type StateOrder,
  type StateVariable,
  saveState,
  stateOf,
  type Trained,
} from "./state.js";
import { StepVariants } from "./step-variants.js";

/** @internal What files and adapters need of an optimizer. */
export interface Internals {
  readonly state: OptimizerState;
  readonly classes: RowClasses;
  readonly life: Lifecycle;
  /** The one way back: checks everything, then writes it.
   *  @throws CheckpointError for what does not fit; nothing is changed then. */
  readonly restore: (restoration: Restoration) => void;
  /** Gives up the state of variables that are no more. */
  readonly remove: (gone: readonly Trained[]) => void;
}

/** @internal */
export let internalsOf: (optimizer: Optimizer<never>) => Internals;

const ADDED: Kinds<{ shape: readonly number[]; dtype?: DType; name: string }> = {
  shape: sizes,
  dtype: optional(oneOf<DType>("float32", "float64"), "float32"),
  name: text,
};

const withAverages: Kind<boolean> = { wanted: "true", holds: Boolean };

/** Base of all optimizers. A subclass gives its `rule`; `Hyper` names the rule's numbers, which become options. */
export class Optimizer<Hyper extends string = never> {
  /** What the optimizer does; each subclass has its own. */
  static readonly rule: UpdateRule;

  /** Every option with its value, as the constructor took it; a rate that was set later is in `learningRate`. */
  readonly settings: Settings;
  /** The numbers of the rule: beta1, beta2 and epsilon of Adamax. */
  readonly hyperparameters: Readonly<Record<string, number>>;
  /** What runs the steps, and in words why not something better. */
  readonly backend: Backend;
  /** The backend, if nobody else has made it. */
  readonly #made: Backend | null;
  readonly #state: OptimizerState;
  readonly #trained: Trained[] = [];
  readonly #accumulationSteps: number;
  /** Whether a variable has a constraint. */
  #constrained = false;
  readonly #byVariable = new Map<Variable | Values, Trained>();
  readonly #classes: RowClasses;
  readonly #steps: StepVariants;
  /** The running call. */
  readonly #call = new Call();
  readonly #parameters: StepParameters = { learningRate: 0, step: 0, weight: 1 };
  readonly #life = new Lifecycle();

  static {
    internalsOf = (optimizer) => ({
      state: optimizer.#state,
      classes: optimizer.#classes,
      life: optimizer.#life,
      restore: (restoration) => optimizer.#restore(restoration),
      remove: (gone) => optimizer.#remove(gone),
    });
  }

  /** @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
  constructor(options: OptimizerOptions & Partial<Record<Hyper, number | Values>> = {}, ...more: never[]) {
    const rule = check("a subclass of Optimizer", "rule", new.target.rule, definedRule);
    const given: unknown = more.length > 0 ? `${more.length + 1} arguments` : options;
    const { settings, hyper } = checkOptions(rule, given as Readonly<Record<string, unknown>>);
    this.settings = settings;
    this.#accumulationSteps = settings.gradientAccumulationSteps ?? 1;
    this.hyperparameters = hyper;
    const { mesh } = settings;
    const backend = chooseBackend(settings.backend, settings.jitCompile, settings.threads, mesh?.ranksOnHost);
    this.#made = backend === settings.backend ? null : backend;
    this.backend = mesh?.around(backend, { ...settings, ...hyper }) ?? backend;
    this.#classes = new RowClasses(settings);
    this.#steps = new StepVariants(rule, hyper, settings, this.#classes, this.backend);
    this.#state = {
      name: settings.name,
      calls: 0,
      learningRate: settings.learningRate,
      arrays: this.#steps.arrays,
      trained: this.#trained,
      added: [],
      downloads: new Map(),
    };
  }

  /** Updates made so far: calls of applyGradients, or every k-th of them when k micro-batches are accumulated. */
  get iterations(): number {
    return Math.floor(this.#state.calls / this.#accumulationSteps);
  }

  /** An integer, 0 or more: as if so many updates had been made. Keras: `iterations.assign(n)`. */
  set iterations(value: number) {
    const steps = this.#accumulationSteps;
    const open = this.#state.calls % steps;
    const whole = integerFrom(0);
    check(this.settings.name, "iterations", value, {
      ...whole,
      holds: (given) => whole.holds(given) && whole.holds((given as number) * steps + open),
    });
    this.#life.change("write");
    this.#state.calls = value * steps + open;
  }

  /** The rate of the next step. A schedule is evaluated; a function is called. */
  get learningRate(): number {
    const { learningRate: rate, calls } = this.#state;
    if (typeof rate === "number") return rate;
    const value = rate instanceof LearningRateSchedule ? rate.at(calls) : rate();
    if (plainRate.holds(value)) return value;
    return refuse(this.settings.name, "learningRate", plainRate, `${show(value)} from ${show(rate)}`);
  }

  /** A schedule may stand in the place of anything.
   *  @throws OptionError for a value out of range, and for a number or a function in the place of a schedule. */
  set learningRate(value: LearningRate) {
    const kind: Kind<Settings["learningRate"]> =
      this.#state.learningRate instanceof LearningRateSchedule ? schedule : learningRate;
    this.#state.learningRate = check(this.settings.name, "learningRate", plainNumber(value), kind);
  }

  /** Whether it keeps averages. */
  get useEma(): boolean {
    return this.settings.useEma;
  }

  /** The variables in training, in build order. */
  get trainableVariables(): Variable[] {
    return this.#trained.map(({ variable }) => variable);
  }

  /** The optimizer's own state, in tf_keras' order: iteration, averages, accumulators, then every slot of the first variable, of the second ... */
  get variables(): StateVariable[] {
    return stateOf(this.#state, () => this.#steps.expose());
  }

  /** Fetches the state from memory that is far, for `variables` and `saveOwnVariables`; what it fetched is there until the state changes. Where
   *  the memory is near, nothing. */
  async download(): Promise<void> {
    this.#life.assert("save");
    if (this.#trained.every(({ row }) => row.view)) return;
    const { download } = await import("./download.js");
    await download(this.#state, this.#life);
  }

  /** Takes the variables' values into the backend's memory and makes their state. Happens in the first applyGradients by itself.
   *  @throws OptionError when built already, BackendError when there is no memory or a variable belongs to another optimizer. */
  build(variables: Iterable<Variable | Values>, options: BuildOptions = {}): void {
    this.#telling(() => this.#assertNotBuilt("build", "To add variables, call extend."));
    this.extend(variables, options);
  }

  /** What this throws, others hear of who take part. */
  #telling<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      return this.#refuse(error);
    }
  }

  #refuse = (error: unknown): never => {
    this.backend.refuse?.(error);
    throw error;
  };

  /** More variables, after build. Their state begins as that of a new optimizer; the step count goes on. */
  extend(variables: Iterable<Variable | Values>, options: BuildOptions = {}): void {
    this.#telling(() => {
      const { onProgress } = checkBuildOptions(options);
      const before = this.#trained.length;
      const added = this.#named(variables);
      const assertPossible = () => {
        this.#life.assert("build");
        if (this.#trained.length > before)
          throw new OptionError("A build is one call", "another in its onProgress", "Only report there.");
        for (const variable of added.values()) variable.assertFree();
      };
      assertPossible();
      const rows = this.#place([...added.values()], onProgress);
      try {
        assertPossible(); // onProgress is the caller's code
      } catch (error) {
        for (const row of rows) row.free();
        throw error;
      }
      this.#take(added, rows);
    });
  }

  /** What is given to build, and the variables that it stands for. */
  #named(variables: Iterable<Variable | Values>): Map<Variable | Values, Variable> {
    const added = new Map<Variable | Values, Variable>();
    for (const given of check("build", "variables", variables, listOf("variables"))) {
      if (this.#byVariable.has(given) || added.has(given)) refuseTwice(given, "Remove one.");
      added.set(given, variableOf(given, `variable_${this.#trained.length + added.size}`));
    }
    return added;
  }

  /** Room in the backend's memory, with the values in it. */
  #place(list: readonly Variable[], onProgress: BuildOptions["onProgress"]): readonly Row[] {
    if (list.some(({ dtype }) => dtype === "float32"))
      checkRounded((this.constructor as typeof Optimizer).rule, this.settings, this.hyperparameters);
    const classes = this.#classes.list.length;
    const requests = list.map(
      (variable): RowRequest => ({
        variable,
        range: { begin: 0, end: variable.length },
        class: this.#classes.placeOf(variable),
        state: this.#state.arrays.map(({ array }) => array),
        foreign: variable.adoptable ? null : variable,
      }),
    );
    if (this.#classes.list.length > classes) this.#steps.forget();
    const nextIndex = (this.#trained.at(-1)?.row.index ?? -1) + 1; // rows are in build order, also where some have been removed
    return this.backend.place(requests, this.#steps.fullest(), nextIndex, onProgress);
  }

  /** From now on, the variables live in these rows. */
  #take(added: ReadonlyMap<Variable | Values, Variable>, rows: readonly Row[]): void {
    const life = this.#life;
    life.change("build");
    const before = this.#trained.length;
    const taken = [...added].map(([given, variable], i) => {
      const row = rows[i]!;
      const trained = { variable, row, call: 0, accumulated: false, warned: false };
      this.#trained.push(trained);
      this.#byVariable.set(given, trained);
      this.#constrained ||= variable.isConstrained;
      return variable.adopt({ owner: this.settings.name, row, life });
    });
    const own = this.#trained.slice(before);
    if (this.useEma) this.#move("write", "begin", own);
    this.#await(Promise.all(taken), () => this.#remove(own));
  }

  /** Memory that is far says later whether it did what it was told. Where it did not, what it holds is neither old nor new; but where nothing was done since,
   *  and `undo` can make it so, all is as if it had not been asked. */
  #await(done: Promise<unknown>, undo?: (error: BackendError) => unknown): void {
    const life = this.#life;
    const { changes } = life;
    done.catch((error) => {
      if (life.changes === changes && undo?.(error)) life.report(error);
      else life.breakOff(error);
    });
  }

  /** Runs a step that has begun. */
  #run(step: CompiledStep): void {
    try {
      for (let pass = 0; pass < step.passes; pass++) {
        if (pass > 0) step.joinSums(pass - 1);
        step.runPass(pass);
      }
    } finally {
      const done = step.end();
      if (done) this.#await(done, ({ undone }) => undone && this.#accumulationSteps < 2 && this.#state.calls--);
    }
  }

  /** No weight decay for these variables: named by identity, or by a pattern found in their name.
   *  @throws OptionError after build. */
  excludeFromWeightDecay(selection: Selection): void {
    const checked = checkSelection("excludeFromWeightDecay", selection);
    this.#assertNotBuilt("excludeFromWeightDecay", "Move the call up.");
    this.#classes.exclude(checked);
  }

  /** One step: every gradient moves its variable. Returns the number of updates made so far.
   *  Null gradients are left out, with one warning a variable. An empty list changes nothing.
   *  Gradients are read, never written, and free for reuse when this returns. A gradient must not be the value of a variable in the same call.
   *  `weight`: where ranks have parts of a batch that are not equal, the number of examples that these gradients are the mean of.
   *  @throws ShapeError for a gradient that does not fit, an unknown variable, or one named twice; OptionError when all gradients are null. */
  applyGradients(gradientsAndVariables: Iterable<GradientAndVariable>, options?: StepOptions): number {
    const call = this.#call;
    const { iterations } = this;
    const steps = this.#accumulationSteps;
    const accumulates = steps > 1;
    const updates = (this.#state.calls + 1) % steps === 0;
    try {
      this.#life.assert("step");
      const { learningRate } = this;
      const pairs = Array.isArray(gradientsAndVariables)
        ? (gradientsAndVariables as readonly GradientAndVariable[])
        : [...check("applyGradients", "gradientsAndVariables", gradientsAndVariables, PAIRS)];
      if (pairs.length === 0) return iterations;
      if (this.#trained.length === 0) this.#buildFrom(pairs);
      if (this.#state.calls === 0) this.#classes.warnOfUnmatched(this.#trained);
      call.collect(pairs, this.#byVariable, this.backend);
      if (accumulates && updates) call.addAccumulated(this.#trained);
      call.takeRows();
      this.#parameters.learningRate = learningRate;
      this.#parameters.weight = checkStepOptions(options);
      this.#parameters.step = iterations + 1;
      const step = this.#steps.at(iterations, updates);
      const adds = accumulates && updates && this.backend.accumulatesFirst;
      if (adds) this.#change("step", this.#steps.at(iterations, false), call.rows, step);
      else this.#change("step", step, call.rows);
      this.#life.settle();
    } catch (error) {
      this.#refuse(error);
    } finally {
      call.release();
    }
    if (accumulates) for (const trained of call.trained) trained.accumulated = !updates;
    this.#state.calls++;
    // Last, because they are the caller's code: if one throws, the step has been made and is counted.
    if (updates && this.#constrained) this.#constrain(call.trained);
    return this.iterations;
  }

  /** Runs what changes values or state; `next`: what follows at once, without gradients. Unless it comes to its end, they are neither old nor new: the caller settles. */
  #change(deed: "step" | "swap" | "finalize" | "write", step: CompiledStep, rows: readonly Row[], next?: CompiledStep): void {
    step.begin(rows, rows.length, this.#parameters); // refuses what it cannot run
    this.#life.begin(deed);
    this.#run(step);
    if (!next) return;
    for (const row of rows) row.gradient = null; // they have been added
    next.begin(rows, rows.length, this.#parameters);
    this.#run(next);
  }

  /** Computes the loss and its gradients, and applies them. Returns the loss. */
  minimize(loss: () => LossAndGradients): number;
  minimize(loss: () => Promise<LossAndGradients>): Promise<number>;
  minimize(loss: () => LossAndGradients | Promise<LossAndGradients>): number | Promise<number> {
    const apply = (result: LossAndGradients): number => {
      const { loss, gradients, weight } = this.#telling(() => checkLoss("minimize", result));
      this.applyGradients(gradients, weight === undefined ? undefined : { weight });
      return loss;
    };
    const result = this.#telling(() => check("minimize", "loss", loss, callable as Kind<typeof loss>)());
    if (!(result instanceof Promise)) return apply(result);
    return result.then(apply, this.#refuse);
  }

  /** Constraints are the caller's code, which may throw on one rank alone. */
  #constrain(trained: readonly Trained[]): void {
    this.#telling(() => {
      for (const { variable } of trained) variable.constrain();
    });
  }

  /** Builds for every variable named in the first call, also those without a gradient: they may get one later. */
  #buildFrom(pairs: readonly GradientAndVariable[]): void {
    for (const pair of pairs) {
      assertPair(pair);
      const [gradient, variable] = pair;
      const checked = variableOf(variable, "variable");
      if (gradient) this.backend.checkGradient(gradient, checked);
    }
    this.build(pairs.map(([, variable]) => variable));
  }

  /** Exchanges the variables with their moving averages, for validation; call it again to go back. No step can be made in between.
   *  @throws OptionError unless useEma is on. */
  swapAverages(): void {
    const all = this.#chosen("swap");
    check(this.settings.name, "useEma", this.useEma, withAverages);
    this.#move("swap", "swap", all, this.#life.isSwapped ? "ready" : "swapped");
  }

  /** The averages begin anew, from the values: after values were set in another way than by steps. Without useEma, nothing.
   *  `variables`: only theirs; default all. */
  resetAverages(variables?: Iterable<Variable | Values>): void {
    const chosen = this.#chosen("write", variables);
    if (this.useEma) this.#move("write", "begin", chosen);
  }

  /** What something is to be done with. */
  #chosen(deed: "swap" | "write" | "finalize", variables?: Iterable<Variable | Values>): readonly Trained[] {
    return this.#telling(() => {
      this.#life.assert(deed);
      if (variables === undefined || !this.useEma) return this.#trained;
      const given = [...check(this.settings.name, "variables", variables, listOf("variables"))];
      return given.map((variable) => trainedOf(variable, this.#byVariable));
    });
  }

  /** Writes the moving averages into the variables: the end of a training with useEma. Without useEma, nothing.
   *  `variables`: only into these; default all. */
  finalizeVariableValues(variables?: Iterable<Variable | Values>): void {
    const chosen = this.#chosen("finalize", variables);
    if (!this.useEma) return;
    if (this.#life.isSwapped) this.swapAverages();
    this.#move("finalize", "finalize", chosen);
    this.#constrain(chosen);
  }

  #move(deed: "swap" | "finalize" | "write", move: Move, trained: readonly Trained[], after?: "ready" | "swapped"): void {
    const rows = [...new Set(trained.map(({ row }) => row))].sort((a, b) => a.index - b.index);
    if (rows.length > 0) this.#change(deed, this.#steps.move(move), rows);
    this.#life.settle(after);
  }

  /** A state array of your own, saved and loaded with the optimizer's. */
  addVariable(options: { shape: readonly number[]; dtype?: DType; name: string }): Variable {
    const { shape, dtype, name } = checkKinds("addVariable", options, ADDED);
    const variable = new Variable(new ARRAYS[dtype](elementsIn(shape)), { shape, name: `${this.settings.name}/${name}` });
    this.#state.added.push(variable);
    return variable;
  }

  /** A state array like `variable`: of its shape and dtype, zeros. */
  addVariableFromReference(variable: Variable, name: string): Variable {
    const { shape, dtype, name: own } = variableOf(variable, "variable");
    return this.addVariable({ shape, dtype, name: `${name}/${own}` });
  }

  /** The options in Keras' snake_case; JSON. tf_keras and Keras 3 refuse each other's keys: say whose it shall be. Their configurations do not say what
   *  is excluded from weight decay; where no dialect is asked for, it is written too.
   *  @throws OptionError for a variable of a group that its name does not tell from others. */
  getConfig(dialect?: Dialect): Config {
    const { learningRate } = this.#state;
    return toConfig(
      { ...this.settings, learningRate },
      this.hyperparameters,
      check("getConfig", "dialect", dialect, dialects),
      dialect ? [] : this.#classes.excluded,
      this.#byVariable,
    );
  }

  /** An optimizer from `getConfig`'s JSON, or from what tf_keras or Keras 3 wrote, bare or serialized with its class name.
   *  `overrides` are options that replace the configuration's: functions must be given again.
   *  @throws OptionError for what cannot be carried over; no key is dropped silently. */
  static fromConfig<T extends Optimizer<never>>(
    this: { new (options: never): T; readonly rule: UpdateRule },
    config: Config,
    overrides: OptimizerOptions = {},
    customObjects?: Parameters<typeof deserialize>[1],
  ): T {
    const { excludeFromWeightDecay: names, ...options } = optionsFromConfig(this.rule, config, overrides, customObjects);
    const optimizer = new this(options as never);
    if (names) optimizer.excludeFromWeightDecay({ names } as Selection);
    return optimizer;
  }

  /** The state as arrays under "0", "1", ..., in the order in which tf_keras or Keras 3 saves it. Copies. */
  saveOwnVariables(store: SavedState = {}, order: StateOrder = "tf_keras"): SavedState {
    this.#life.assert("save");
    return saveState(
      this.#state,
      check("saveOwnVariables", "order", order, dialects),
      check("saveOwnVariables", "store", store, object as Kind<SavedState>),
    );
  }

  /** Loads what saveOwnVariables, tf_keras or Keras 3 saved, in either order, which need be told only where both could be meant. Build first.
   *  @throws CheckpointError that lists what is missing or does not fit; nothing is changed then. */
  loadOwnVariables(store: Readonly<SavedState>, order?: StateOrder): void {
    this.#telling(() => {
      this.#life.assert("load");
      for (const [key, array] of Object.entries(check("loadOwnVariables", "store", store, object)))
        check("loadOwnVariables", `array ${key}`, array, numbers);
      const known = order && check("loadOwnVariables", "order", order, dialects);
      this.#restore(restorationOf(this.#state, store, known));
    });
  }

  #restore(restoration: Restoration): void {
    this.#await(restore(this.#state, this.#life, restoration, () => this.backend.meet?.()));
  }

  /** Like loadOwnVariables, from a list. */
  setWeights(weights: readonly SavedState[string][], order?: StateOrder): void {
    this.loadOwnVariables({ ...check("setWeights", "weights", weights, listOf("arrays")) } as unknown as SavedState, order);
  }

  #assertNotBuilt(method: string, remedy: string): void {
    if (this.#trained.length > 0)
      throw new OptionError(`${method} must come before build`, `${this.#trained.length} variables`, remedy);
  }

  /** Frees the state, and hands every variable what it holds back in an ordinary array: between two swaps, the averages. Twice is harmless. */
  dispose(): void {
    const { isSwapped } = this.#life;
    if (!this.#life.dispose()) return;
    if (isSwapped) this.#constrain(this.#trained); // they stay
    this.#remove(this.#trained);
    this.#call.clear();
    this.#steps.forget();
    this.#made?.dispose();
  }

  /** Gives up the state of variables that are trained no more. Returns those that are. */
  #remove(gone: readonly Trained[]): readonly Trained[] {
    const set = new Set(gone);
    for (const [given, trained] of this.#byVariable) {
      if (!set.has(trained)) continue;
      trained.variable.release();
      trained.row.free();
      this.#byVariable.delete(given);
    }
    const left = this.#trained.filter((trained) => !set.has(trained));
    this.#trained.length = 0;
    for (const trained of left) this.#trained.push(trained); // one by one: as arguments of a call, many would not fit the stack
    return left;
  }

  /** So that Vue makes no proxy of it. */
  get [Symbol.toStringTag](): string {
    return "Optimizer";
  }

  /** `using optimizer = new Adamax()` disposes at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
