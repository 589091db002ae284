/** The life of a step, around any update rule. */

import type { Backend, CompiledStep, Gradient, Row, RowClass, RowRequest, StepParameters, Values } from "./backends/backend.js";
import { chooseBackend } from "./backends/choose.js";
import { type Config, type Dialect, optionsFromConfig, toConfig } from "./configuration.js";
import { BackendError, OptionError, ShapeError, show } from "./errors.js";
import { checkLearningRate, checkOptions, checkSelection, clippingOf, names, type OptimizerOptions, refuseUnknown, type Settings } from "./options.js";
import type { DType, Program } from "./rule/program.js";
import { type BoundRule, bindRule, flushPeriod, type UpdateRule } from "./rule/update-rule.js";
import { composeStep, stateNames, type StepSettings, type StepVariant } from "./rule/step-program.js";
import { LearningRateSchedule } from "./schedules/schedule.js";
import type { deserialize } from "./schedules/index.js";
import { loadState, type SavedState, type StateOrder, saveState, type StateVariable, stateOf } from "./state.js";
import { IndexedSlices, Variable } from "./variable.js";

/** A gradient (null: none in this call) and the variable that it belongs to. A plain array is updated in place where it lies. */
export type GradientAndVariable = readonly [gradient: Gradient | undefined, variable: Variable | Values];

/** What a loss function returns to `minimize`. */
export interface LossAndGradients {
  readonly loss: number;
  readonly gradients: Iterable<GradientAndVariable>;
}

/** A variable in training. */
export interface Trained {
  readonly variable: Variable;
  readonly row: Row;
  /** The call that last named this variable; finds duplicates without a set. */
  call: number;
  /** Whether a gradient has been accumulated since the last update. */
  accumulated: boolean;
  /** Whether the missing gradient of this variable has been warned of. */
  warned: boolean;
}

/** Settings that variables may differ in, and so the programs that they need. */
interface ClassSettings extends RowClass {
  readonly dtype: DType;
  readonly decays: boolean;
}

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
  readonly #rule: UpdateRule;
  readonly #boundRule: BoundRule;
  readonly #stepSettings: StepSettings;
  readonly #flushPeriod: number;

  #learningRate: Settings["learningRate"];
  #excluded: { variables: readonly Variable[]; names: readonly (string | RegExp)[] } = { variables: [], names: [] };
  readonly #trained: Trained[] = [];
  readonly #byVariable = new Map<Variable | Values, Trained>();
  readonly #added: Variable[] = [];
  readonly #classes: ClassSettings[] = [];
  /** Compiled steps by variant; see `#stepFor`. */
  #steps: (CompiledStep | undefined)[] = [];
  /** Calls of applyGradients so far. */
  #calls = 0;
  /** Variables in the running step, in build order. Kept from step to step: a step allocates nothing. */
  readonly #rows: Row[] = [];
  readonly #inCall: Trained[] = [];
  #callNumber = 0;
  readonly #parameters: StepParameters = { learningRate: 0, step: 0 };
  #swapped = false;
  /** A step broke off: variables and state are neither old nor new. */
  #invalid = false;
  #disposed = false;

  /** @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
  constructor(options: OptimizerOptions & Partial<Record<Hyper, number | Values>> = {}) {
    const { rule } = new.target;
    if (!rule) throw new OptionError("Optimizer is a base class. Received: a class without a rule. Make a subclass with `static rule = defineRule({ ... })`, or use Adamax.");
    const { settings, hyper } = checkOptions(rule.name, rule.hyperparameters, options as Readonly<Record<string, unknown>>);
    this.settings = settings;
    this.hyperparameters = hyper;
    this.backend = chooseBackend(settings.backend, settings.jitCompile, settings.threads);
    this.#rule = rule;
    this.#boundRule = bindRule(rule, hyper);
    this.#learningRate = settings.learningRate;
    this.#flushPeriod = flushPeriod(rule, hyper);
    this.#stepSettings = {
      clipping: clippingOf(settings),
      lossScale: settings.lossScaleFactor ?? 1,
      accumulationSteps: settings.gradientAccumulationSteps ?? 1,
      emaMomentum: settings.useEma ? settings.emaMomentum : null,
    };
  }

  /** Updates made so far: calls of applyGradients, or every k-th of them when k micro-batches are accumulated. */
  get iterations(): number {
    return Math.floor(this.#calls / this.#stepSettings.accumulationSteps);
  }

  /** The rate of the next step. A schedule is evaluated; a function is called. */
  get learningRate(): number {
    return this.#currentLearningRate();
  }

  /** @throws OptionError when the learning rate is a schedule, or the value is out of range. */
  set learningRate(value: Values | (() => number) | number) {
    if (this.#learningRate instanceof LearningRateSchedule || (value as unknown) instanceof LearningRateSchedule)
      throw new OptionError(
        `The learning rate follows a schedule and cannot be set. Received: ${show(value)}. Make the optimizer with a number or a function to steer it yourself.`,
      );
    this.#learningRate = checkLearningRate(value);
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
    return stateOf(this.#stateSource());
  }

  /** Takes the variables' values into the backend's memory and makes their state. Happens in the first applyGradients by itself.
   *  @throws OptionError when built already, BackendError when there is no memory or a variable belongs to another optimizer. */
  build(variables: Iterable<Variable | Values>): void {
    this.#assertUsable();
    if (this.#trained.length > 0) throw new OptionError(`This optimizer is built already, for ${this.#trained.length} variables. To add variables, call extend.`);
    this.extend(variables);
  }

  /** More variables, after build. Their state begins as that of a new optimizer; the step count goes on. */
  extend(variables: Iterable<Variable | Values>): void {
    this.#assertUsable();
    const added = new Map<Variable | Values, Variable>();
    for (const given of variables) {
      if (this.#byVariable.has(given) || added.has(given)) throw new ShapeError(`A variable can be trained only once. Received: ${nameOf(given)} twice. Remove one.`);
      const variable = given instanceof Variable ? given : new Variable(given, { adopt: false, name: `variable_${this.#trained.length + added.size}` });
      variable.assertFree();
      added.set(given, variable);
    }
    const list = [...added.values()];
    const classCount = this.#classes.length;
    const requests = list.map((variable) => this.#request(variable));
    const sizing = this.#classes.map((rowClass) => this.#compose(rowClass, FULLEST));
    if (this.#classes.length > classCount) this.#steps = [];
    const rows = this.backend.place(requests, sizing, this.#trained.length);
    [...added.entries()].forEach(([given, variable], i) => {
      const row = rows[i]!;
      variable.adopt({ owner: this.settings.name, array: (name) => row.array(name) });
      if (this.useEma) row.array("average").set(variable.value);
      const trained = { variable, row, call: 0, accumulated: false, warned: false };
      this.#trained.push(trained);
      this.#byVariable.set(given, trained);
    });
  }

  #request(variable: Variable): RowRequest {
    const rowSize = variable.length / (variable.shape[0] || 1);
    const foreign = variable.adoptable ? null : variable;
    const state = stateNames(this.#rule.slots, this.#stepSettings);
    return { dtype: variable.dtype, length: variable.length, rowSize, class: this.#classOf(variable), state, foreign, name: variable.name };
  }

  /** The place of the variable's class, which is made if it is the first of its kind. */
  #classOf(variable: Variable): number {
    const group = this.settings.groups.find((group) => names(group, variable));
    const asked = group?.weightDecay === undefined ? this.settings.weightDecay : group.weightDecay;
    const weightDecay = names(this.#excluded, variable) ? 0 : (asked ?? 0);
    const { learningRateMultiplier = 1 } = group ?? {};
    const known = this.#classes.findIndex(
      (other) => other.dtype === variable.dtype && other.weightDecay === weightDecay && other.learningRateMultiplier === learningRateMultiplier,
    );
    if (known >= 0) return known;
    return this.#classes.push({ dtype: variable.dtype, decays: weightDecay > 0, weightDecay, learningRateMultiplier }) - 1;
  }

  #compose({ dtype, decays }: ClassSettings, variant: Omit<StepVariant, "dtype" | "decays">): Program {
    return composeStep(this.#rule.slots, this.#boundRule, this.#stepSettings, { dtype, decays, ...variant });
  }

  /** No weight decay for these variables: named by identity, or by a pattern found in their name.
   *  @throws OptionError after build. */
  excludeFromWeightDecay(selection: { variables?: readonly Variable[]; names?: readonly (string | RegExp)[] }): void {
    refuseUnknown(Object.keys(selection), ["variables", "names"]);
    const { variables, names } = checkSelection(selection, "excludeFromWeightDecay");
    if (this.#trained.length > 0)
      throw new OptionError("excludeFromWeightDecay must be called before the optimizer is built (before the first applyGradients). Move the call up.");
    this.#excluded = { variables: [...this.#excluded.variables, ...variables], names: [...this.#excluded.names, ...names] };
  }

  /** One step: every gradient moves its variable. Returns the number of updates made so far.
   *  Null gradients are left out, with one warning a variable. An empty list changes nothing.
   *  Gradients are read, never written, and free for reuse when this returns. A gradient must not be the value of a variable in the same call.
   *  @throws ShapeError for a gradient that does not fit, an unknown variable, or one named twice; OptionError when all gradients are null. */
  applyGradients(gradientsAndVariables: Iterable<GradientAndVariable>): number {
    this.#assertUsable();
    this.#assertNotSwapped();
    this.#assertValid();
    const learningRate = this.#currentLearningRate();
    const pairs = Array.isArray(gradientsAndVariables) ? (gradientsAndVariables as readonly GradientAndVariable[]) : [...gradientsAndVariables];
    if (pairs.length === 0) return this.iterations;
    if (this.#trained.length === 0) this.#buildFrom(pairs);
    this.#collect(pairs);

    const { accumulationSteps } = this.#stepSettings;
    const updates = (this.#calls + 1) % accumulationSteps === 0;
    if (updates && accumulationSteps > 1) this.#collectAccumulated();
    this.#takeRows();
    this.#parameters.learningRate = learningRate;
    this.#parameters.step = this.iterations + 1;
    const step = this.#stepFor(updates);
    this.#invalid = true; // unless the step comes to its end
    step.run(this.#rows, this.#rows.length, this.#parameters);
    this.#invalid = false;
    for (const trained of this.#inCall) {
      trained.row.gradient = null; // it is the caller's: do not keep it alive
      trained.accumulated = !updates;
    }
    this.#calls++;
    // Last, because they are the caller's code: if one throws, the step has been made and is counted.
    if (updates) for (const { variable } of this.#inCall) if (variable.constraint) constrain(variable);
    return this.iterations;
  }

  /** Computes the loss and its gradients, and applies them. Returns the loss. */
  minimize(loss: () => LossAndGradients): number;
  minimize(loss: () => Promise<LossAndGradients>): Promise<number>;
  minimize(loss: () => LossAndGradients | Promise<LossAndGradients>): number | Promise<number> {
    const apply = ({ loss, gradients }: LossAndGradients): number => {
      this.applyGradients(gradients);
      return loss;
    };
    const result = loss();
    return result instanceof Promise ? result.then(apply) : apply(result);
  }

  #currentLearningRate(): number {
    const rate = this.#learningRate;
    if (typeof rate === "number") return rate;
    const value = rate instanceof LearningRateSchedule ? rate.at(this.#calls) : rate();
    if (typeof value !== "number" || !Number.isFinite(value))
      throw new OptionError(
        `The learning rate must be a finite number. Received: ${show(value)} from the ${rate instanceof LearningRateSchedule ? "schedule" : "function"} at call ${this.#calls}. Check what it returns.`,
      );
    return value;
  }

  /** Builds for every variable named in the first call, also those without a gradient: they may get one later. */
  #buildFrom(pairs: readonly GradientAndVariable[]): void {
    const variables = pairs.map(([, variable]) => variable);
    for (const variable of variables)
      if (!(variable instanceof Variable || variable instanceof Float32Array || variable instanceof Float64Array))
        throw new ShapeError(`applyGradients takes pairs of [gradient, variable]. Received: ${show(variable)} as a variable. Pass a Variable, a Float32Array or a Float64Array.`);
    for (const [gradient, variable] of pairs) if (gradient) checkGradient(gradient, variable instanceof Variable ? variable : new Variable(variable, { adopt: false }));
    this.build(variables);
  }

  /** Checks every pair, and lists the variables that have a gradient. */
  #collect(pairs: readonly GradientAndVariable[]): void {
    const call = ++this.#callNumber;
    const inCall = this.#inCall;
    let count = 0;
    let missing: Trained[] | undefined;
    for (let i = 0; i < pairs.length; i++) {
      const pair = pairs[i]!;
      const gradient = pair[0];
      const variable = pair[1];
      const trained = this.#byVariable.get(variable);
      if (trained === undefined)
        throw new ShapeError(
          `This optimizer was built for ${this.#trained.length} other variables. Received: ${nameOf(variable)}, which is not one of them. Call optimizer.extend([variable]) first.`,
        );
      if (trained.call === call)
        throw new ShapeError(`Each variable can stand only once in a call of applyGradients. Received: ${nameOf(variable)} twice. Add its gradients up.`);
      trained.call = call;
      if (gradient === null || gradient === undefined) {
        missing = [...(missing ?? []), trained];
        continue;
      }
      checkGradient(gradient, trained.variable);
      trained.row.gradient = gradient;
      inCall[count++] = trained;
    }
    if (inCall.length !== count) inCall.length = count;
    if (count === 0) throw new OptionError("No gradients provided for any variable. Received: only null. Check that the loss depends on the variables.");
    if (missing) warnMissing(missing);
  }

  /** What was accumulated is applied, also where this call brings no gradient: that counts as zero. */
  #collectAccumulated(): void {
    for (const trained of this.#inCall) trained.accumulated = false;
    for (const trained of this.#trained)
      if (trained.accumulated) {
        trained.row.gradient = null;
        this.#inCall.push(trained);
      }
  }

  /** The rows of the call in build order, which is the order in which norms are summed. */
  #takeRows(): void {
    const rows = this.#rows;
    let sorted = true;
    for (let i = 0; i < this.#inCall.length; i++) {
      rows[i] = this.#inCall[i]!.row;
      sorted &&= i === 0 || rows[i - 1]!.index < rows[i]!.index;
    }
    if (rows.length !== this.#inCall.length) rows.length = this.#inCall.length;
    if (!sorted) rows.sort((a, b) => a.index - b.index);
  }

  /** The compiled step for what this call does. Each variant is compiled when it is first needed. */
  #stepFor(updates: boolean): CompiledStep {
    const { iterations } = this;
    const { emaOverwriteFrequency, emaStart, useEma } = this.settings;
    const flushesSlots = iterations % this.#flushPeriod === 0;
    const overwrites = useEma && emaOverwriteFrequency !== null && (iterations + 1) % emaOverwriteFrequency === 0;
    const startsAverage = useEma && emaStart === "firstStep" && iterations === 0;
    const key = updates ? 1 + (flushesSlots ? 1 : 0) + (overwrites ? 2 : 0) + (startsAverage ? 4 : 0) : 0;
    let step = this.#steps[key];
    if (!step) {
      const variant = { accumulatesOnly: !updates, flushesSlots, overwrites, startsAverage };
      step = this.backend.compile(
        this.#classes.map((rowClass) => this.#compose(rowClass, variant)),
        this.#classes,
      );
      this.#steps[key] = step;
    }
    return step;
  }

  /** Exchanges the variables with their moving averages, for validation; call it again to go back. No step can be made in between.
   *  @throws OptionError unless useEma is on. */
  swapAverages(): void {
    this.#assertUsable();
    if (!this.useEma) throw new OptionError("There are no averages to swap. Received: useEma=false. Make the optimizer with useEma: true.");
    for (const { variable, row } of this.#trained) {
      const average = row.array("average");
      const { value } = variable;
      for (let i = 0; i < value.length; i++) {
        const held = value[i]!;
        value[i] = average[i]!;
        average[i] = held;
      }
    }
    this.#swapped = !this.#swapped;
  }

  /** Writes the moving averages into the variables: the end of a training with useEma. Without useEma, nothing. */
  finalizeVariableValues(): void {
    this.#assertUsable();
    if (!this.useEma) return;
    for (const { variable, row } of this.#trained) {
      if (this.#swapped) row.array("average").set(variable.value);
      else variable.value.set(row.array("average"));
    }
    this.#swapped = false;
  }

  /** A state array of your own, saved and loaded with the optimizer's. */
  addVariable({ shape, dtype = "float32", name }: { shape: readonly number[]; dtype?: DType; name: string }): Variable {
    const length = shape.reduce((product, size) => product * size, 1);
    const values = dtype === "float32" ? new Float32Array(length) : new Float64Array(length);
    const variable = new Variable(values, { shape, name: `${this.settings.name}/${name}` });
    this.#added.push(variable);
    return variable;
  }

  /** A state array like `variable`: of its shape and dtype, zeros. */
  addVariableFromReference(variable: Variable, name: string): Variable {
    return this.addVariable({ shape: variable.shape, dtype: variable.dtype, name: `${name}/${variable.name}` });
  }

  /** The options in Keras' snake_case; JSON. tf_keras and Keras 3 refuse each other's keys: say whose it shall be. */
  getConfig(dialect: Dialect = "tf_keras"): Config {
    const learningRate = this.#learningRate;
    return toConfig({ ...this.settings, learningRate }, this.hyperparameters, dialect);
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
    return new this(optionsFromConfig(this.rule, config, overrides, customObjects) as never);
  }

  /** The state as arrays under "0", "1", ..., in the order in which tf_keras or Keras 3 saves it. Copies. */
  saveOwnVariables(store: SavedState = {}, order: StateOrder = "tf_keras"): SavedState {
    this.#assertUsable();
    this.#assertNotSwapped();
    this.#assertValid();
    return Object.assign(store, saveState(this.#stateSource(), order));
  }

  /** Loads what saveOwnVariables, tf_keras or Keras 3 saved, in either order. Build first.
   *  @throws CheckpointError that lists what is missing or does not fit; nothing is changed then. */
  loadOwnVariables(store: Readonly<SavedState>): void {
    this.#assertUsable();
    this.#assertNotSwapped();
    const { calls, learningRate } = loadState(this.#stateSource(), store);
    this.#calls = calls;
    this.#invalid = false;
    // Keras 3 saves the rate in float32. Where ours rounds to that, ours is the more exact one.
    const own = this.#learningRate;
    if (learningRate !== null && typeof own === "number" && Math.fround(own) !== Math.fround(learningRate)) this.#learningRate = learningRate;
  }

  /** Like loadOwnVariables, from a list. */
  setWeights(weights: readonly SavedState[string][]): void {
    this.loadOwnVariables(Object.fromEntries(weights.map((value, i) => [`${i}`, value])));
  }

  #stateSource() {
    return {
      name: this.settings.name,
      calls: this.#calls,
      learningRate: typeof this.#learningRate === "number" ? this.#learningRate : null,
      slots: this.#rule.slots,
      averages: this.useEma,
      accumulators: this.#stepSettings.accumulationSteps > 1,
      trained: this.#trained,
      added: this.#added,
    };
  }

  #assertUsable(): void {
    if (this.#disposed) throw new BackendError("This optimizer was disposed, and its state is gone. Make a new one; the variables keep their values.");
  }

  #assertNotSwapped(): void {
    if (this.#swapped) throw new OptionError("The variables hold their averages now, and the averages the variables (swapAverages was called). Call swapAverages again first.");
  }

  #assertValid(): void {
    if (this.#invalid)
      throw new BackendError("The last step broke off in the middle, and the variables and the state are neither old nor new. Load both again (loadOwnVariables) before the next step.");
  }

  /** Frees the state, and hands every variable its values back in an ordinary array. Twice is harmless. */
  dispose(): void {
    if (this.#disposed) return;
    if (this.#swapped) this.swapAverages(); // what was trained comes back, not the averages
    this.#disposed = true;
    for (const { variable } of this.#trained) variable.release();
    this.#trained.length = this.#rows.length = this.#inCall.length = this.#steps.length = 0;
    this.#byVariable.clear();
    if (this.backend !== this.settings.backend) this.backend.dispose();
  }

  /** `using optimizer = new Adamax()` disposes at the end of the block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Every other variant of a step needs at most the scalars and arrays of this one. */
const FULLEST = { accumulatesOnly: false, flushesSlots: true, startsAverage: false, overwrites: true } as const;

const nameOf = (variable: Variable | Values): string => (variable instanceof Variable ? `variable ${show(variable.name)}` : show(variable));

const checkGradient = (gradient: Gradient, variable: Variable): void => {
  if (gradient instanceof IndexedSlices) return gradient.assertFits(variable);
  const fits = gradient instanceof (variable.dtype === "float32" ? Float32Array : Float64Array) && gradient.length === variable.length;
  if (fits) return;
  const wanted = `${variable.dtype === "float32" ? "Float32Array" : "Float64Array"} of length ${variable.length}`;
  throw new ShapeError(
    `The gradient of ${nameOf(variable)} (shape [${variable.shape}], ${variable.dtype}) must be a ${wanted}, IndexedSlices or null. Received: ${show(gradient)}. Pass one value per element, in the variable's dtype.`,
  );
};

const warnMissing = (missing: readonly Trained[]): void => {
  const fresh = missing.filter((trained) => !trained.warned);
  if (fresh.length === 0) return;
  for (const trained of fresh) trained.warned = true;
  console.warn(`adamax: no gradient for ${fresh.map(({ variable }) => nameOf(variable)).join(", ")}; left as they are. (Said once for each.)`);
};

const constrain = (variable: Variable): void => {
  const { value } = variable;
  const constrained = variable.constraint!(value);
  if (!constrained || constrained === value) return;
  if (constrained.length !== value.length)
    throw new ShapeError(
      `The constraint of ${nameOf(variable)} must return as many values as it got, or nothing. Received: ${show(constrained)} for ${value.length} values. Change them in place, or return all of them.`,
    );
  value.set(constrained);
};
