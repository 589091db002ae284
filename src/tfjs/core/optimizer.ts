/// <reference lib="esnext.disposable" preserve="true" />
/** An optimizer of the core as a tf.Optimizer. Its state lies in the core's memory, or on a GPU in tensors. */

import * as tf from "@tensorflow/tfjs-core";
import type { Ranks } from "../../backend.js";
import { CheckpointError, OptionError } from "../../errors.js";
import { callable, check } from "../../kinds.js";
import { type Config, optionsFromConfig } from "../../optimizer/configuration.js";
import type { GradientAndVariable } from "../../optimizer/gradients.js";
import { type Internals, internalsOf, type Optimizer } from "../../optimizer/optimizer.js";
import {
  type Group,
  type LearningRate,
  type OptimizerOptions,
  plainRate,
  type Selection,
  type StepOptions,
} from "../../optimizer/options.js";
import { forgetAccumulated } from "../../optimizer/state.js";
import type { UpdateRule } from "../../rule/update-rule.js";
import { LearningRateSchedule } from "../../schedules/schedule.js";
import type { Variable } from "../../variable.js";
import { nearest } from "./choose.js";
import { fromTensorFlow, toTensorFlow } from "./config.js";
import { DeviceBackend } from "./device.js";
import { readingCopies } from "./elements.js";
import { gradientFor, type NamedGradient, type NamedGradients, namedGradients, registered } from "./gradients.js";
import type { HeapBackend } from "./heap.js";
import { LoadedState } from "./loaded-state.js";
import {
  assertOneObject,
  type LayerWeight,
  plainLearningRate,
  plainOptions,
  type TensorOptions,
  type TrainableTensor,
} from "./options.js";
import { assertEngine } from "./private-members.js";
import { Tensors } from "./tensors.js";
import type { TensorVariable } from "./variable.js";
import { type NamedTensor, SavedWeights, toWeights } from "./weights.js";

/** A class of the core's optimizers. */
export interface OptimizerClass {
  new (options: never): Optimizer<never>;
  readonly rule: UpdateRule;
}

/** Base of all optimizers here. A subclass gives the core's class that it is made of. */
export class TensorOptimizer extends tf.Optimizer {
  /** The optimizer behind this one; each subclass has its own. */
  static readonly core: OptimizerClass;

  readonly #core: Optimizer<never>;
  readonly #internals: Internals;
  /** Where TensorFlow.js runs its wasm backend, the step runs in that memory; where it uses a GPU, in operations there. */
  readonly #near: HeapBackend | DeviceBackend | null;
  readonly #tensors = new Tensors();
  /** A learning rate that the user steers by assigning to it. */
  #learningRate: tf.Variable | null;
  /** State that was loaded, and has not found its variables yet. */
  readonly #loaded: LoadedState;
  #hasWarned = false;
  /** Checkpoints that are being read or written now. */
  #lent = 0;
  /** What the last call of getWeights returned. */
  #handedOut: NamedTensor[] = [];

  /** The name under which configurations know the class, as in Python. */
  static get className(): string {
    return this.core.rule.name;
  }

  /** TensorFlow.js takes everything with the methods of an optimizer for a tf.Optimizer, and would for one of ours. */
  static override [Symbol.hasInstance](instance: unknown): boolean {
    return Function.prototype[Symbol.hasInstance].call(this, instance);
  }

  /** @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
  constructor(...given: [options?: TensorOptions<OptimizerOptions>]) {
    super();
    const Core = coreOf(new.target);
    assertOneObject(Core.rule.name, given);
    assertEngine();
    const [options = {}] = given;
    // One thread unless asked for more: computing gradients takes TensorFlow.js so long that the step is little of it.
    const { backend, jitCompile = true, threads = 1 } = options;
    this.#near = jitCompile && !backend && threads === 1 ? nearest() : null;
    const plain = plainOptions({ ...options, threads }, (tensor) => this.#tensors.of(tensor));
    this.#core = new Core((this.#near ? { ...plain, backend: this.#near } : plain) as never);
    this.#internals = internalsOf(this.#core);
    this.#loaded = new LoadedState(this.#core);
    this.#learningRate = options.learningRate instanceof tf.Variable ? options.learningRate : null;
  }

  /** @internal Examples in the batch of the next step, where it is known. */
  examples: number | null = null;

  /** One step. Gradients come by name, for variables that TensorFlow.js knows; variables that are new here begin with fresh state.
   *  `weight`: on a mesh where parts of a batch are not equal, the number of examples that these gradients are the mean of; `fit` knows it.
   *  @throws ShapeError for a gradient that does not fit or an unknown name; OptionError when all gradients are null. */
  applyGradients(gradients: NamedGradients, options?: StepOptions): void {
    this.#telling(() => {
      const named = namedGradients(gradients);
      const variables = named.map(({ name }) => this.#tensors.ofTensor(registered(name)));
      this.#train(variables);
      if (this.window > 1) this.#forgetAccumulated(this.#tensors.trained.filter(({ tensor }) => !tensor.trainable));
      const weight = options?.weight ?? this.examples;
      this.#core.applyGradients(this.#pairs(named, variables), weight === null ? options : { ...options, weight });
    });
    this.#telling(() => {
      for (const variable of this.#tensors.trained) if (variable.settle()) variable.constrainTensor();
    });
  }

  /** The gradients of the loss, and a step; `fit` calls it for each batch. */
  override minimize(...given: Parameters<tf.Optimizer["minimize"]>): tf.Scalar | null {
    const [loss, ...rest] = given;
    this.#telling(() => check("minimize", "loss", loss, callable));
    return super.minimize(() => this.#telling(loss), ...rest);
  }

  /** What this throws, other ranks hear of. */
  #telling<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      this.#core.backend.refuse?.(error);
      throw error;
    }
  }

  #pairs(named: readonly NamedGradient[], variables: readonly TensorVariable[]): Iterable<GradientAndVariable> {
    if (this.#near instanceof DeviceBackend)
      return named.map(({ tensor }, i) => [tensor ? { buffer: tensor } : null, variables[i]!]);
    // The core asks for these when it has called the function, which may move TensorFlow.js' heap.
    if (typeof this.#internals.state.learningRate === "function")
      return { [Symbol.iterator]: () => this.#pairsInMemory(named, variables).values() };
    return this.#pairsInMemory(named, variables);
  }

  #pairsInMemory(named: readonly NamedGradient[], variables: readonly TensorVariable[]): GradientAndVariable[] {
    const accumulates = this.#core.settings.gradientAccumulationSteps !== null;
    // All of them where some that have no gradient now may have accumulated some.
    this.#find(accumulates ? this.#tensors.trained : variables.filter((_, i) => named[i]!.tensor));
    return named.map(({ tensor }, i) => [gradientFor(variables[i]!, tensor), variables[i]!]);
  }

  /** What was accumulated for variables that have been frozen since does not move them. */
  #forgetAccumulated(frozen: readonly TensorVariable[]): void {
    const variables = new Set<Variable>(frozen);
    if (variables.size > 0) forgetAccumulated(this.#internals.state, (variable) => variables.has(variable));
  }

  /** Finds the elements of all variables, where they are in memory; those of `written` are about to be written. */
  #find(written: readonly TensorVariable[]): void {
    if (this.#near instanceof DeviceBackend) return;
    if (this.#lent > 0) this.#tensors.settle(); // what a load has written so far
    for (const variable of written) variable.renew();
    for (const variable of this.#tensors.trained) variable.locate();
  }

  /** Makes the state of these variables. Happens by itself when a variable gets its first gradient, and for a model when `fit` begins.
   *  A model's `trainableWeights` bring the constraints of their layers, which are applied after each step.
   *  @throws CheckpointError when state was loaded that does not fit them. */
  build(variables: Iterable<TrainableTensor>): void {
    this.#train(this.#tensors.all("build", variables));
  }

  #train(variables: readonly TensorVariable[]): void {
    if (variables.every(({ owner }) => owner !== null)) return;
    const fresh = variables.filter(({ owner }) => owner === null);
    for (const variable of fresh) variable.assertTrainable();
    this.#prune();
    const savedNames = this.#loaded.namesFor(fresh, this.#tensors.trained);
    if (!(this.#near instanceof DeviceBackend)) for (const variable of fresh) variable.locate();
    this.#core.extend(fresh);
    this.#tensors.trained.push(...fresh);
    for (const variable of fresh) variable.begin();
    if (savedNames) this.#loaded.give(fresh, savedNames, this.#tensors.trained.length);
  }

  /** The state of tensors that were disposed of goes. */
  #prune(): void {
    const gone = this.#tensors.prune();
    if (gone.size > 0) this.#internals.remove(this.#internals.state.trained.filter(({ variable }) => gone.has(variable)));
  }

  /** Updates made so far. An integer of 0 or more can be set: as if so many had been made. */
  override get iterations(): number {
    return this.#waiting ? Math.floor(this.#waiting.calls / this.window) : this.#core.iterations;
  }

  override set iterations(value: number) {
    const before = this.#core.iterations;
    this.#core.iterations = value; // checked there
    if (!this.#waiting) return;
    this.#waiting.calls = value * this.window;
    this.#core.iterations = before;
  }

  /** @internal Those that train with this one, if there are any. */
  get ranks(): Ranks | null {
    const { mesh } = this.#core.settings;
    return mesh && mesh.size > 1 ? mesh : null;
  }

  /** @internal Micro-batches in one update. */
  get window(): number {
    return this.#core.settings.gradientAccumulationSteps ?? 1;
  }

  /** State that was loaded before the first variable was seen. */
  get #waiting(): SavedWeights | null {
    return this.#tensors.trained.length === 0 ? this.#loaded.saved : null;
  }

  /** The rate of the next step. A schedule is evaluated; a function is called. */
  get learningRate(): number {
    const { learningRate } = this.#internals.state;
    return this.#waiting && learningRate instanceof LearningRateSchedule
      ? learningRate.at(this.#waiting.calls)
      : this.#core.learningRate;
  }

  /** @throws OptionError for a value out of range, and for a number or a function in the place of a schedule. */
  set learningRate(value: number | tf.Tensor | LearningRateSchedule | (() => number)) {
    const steered = this.#learningRate;
    if (steered && typeof value === "number") {
      check(this.#core.settings.name, "learningRate", value, plainRate);
      tf.tidy(() => steered.assign(tf.tensor([value], steered.shape)));
      return;
    }
    this.#core.learningRate = plainLearningRate(value) as LearningRate;
    this.#learningRate = value instanceof tf.Variable ? value : null;
  }

  get useEma(): boolean {
    return this.#core.useEma;
  }

  /** What runs the step, and in words why nothing better. */
  get backend(): { readonly name: string; readonly why: string } {
    const { name, why } = this.#core.backend;
    return this.#near ? { name, why } : { name, why: `${why}; ${wayOfValues(tf.getBackend())}` };
  }

  /** No weight decay for these variables: named by identity, or by a pattern found in their name.
   *  @throws OptionError once a step has been made. */
  excludeFromWeightDecay(selection: { variables?: readonly TrainableTensor[]; names?: readonly (string | RegExp)[] }): void {
    const variables = selection?.variables && this.#tensors.all("excludeFromWeightDecay", selection.variables);
    this.#core.excludeFromWeightDecay(variables ? { ...selection, variables } : (selection as unknown as Selection));
  }

  /** Reads the state from a GPU. On cpu and wasm, nothing. */
  async download(): Promise<void> {
    await this.#core.download();
  }

  /** Writes the moving averages into the variables: the end of a training with useEma. Without useEma, nothing.
   *  `variables`: only into these, as far as they are trained; default all. */
  finalizeVariableValues(variables?: Iterable<TrainableTensor>): void {
    if (!this.useEma) return;
    const chosen = this.#averaged("finalizeVariableValues", variables);
    this.#rewrite(() => this.#core.finalizeVariableValues(chosen));
    for (const variable of chosen ?? this.#tensors.trained) variable.constrainTensor();
  }

  /** The averages begin anew, from the values: after values were set in another way than by steps. `fit` does it by itself for values that were set
   *  since the last step. Without useEma, nothing. `variables`: only theirs, as far as they are trained; default all. */
  resetAverages(variables?: Iterable<TrainableTensor>): void {
    if (!this.useEma) return;
    const chosen = this.#averaged("resetAverages", variables);
    this.#find([]);
    this.#core.resetAverages(chosen);
  }

  /** Of these variables, those that have averages: where some were loaded and wait, these variables take theirs now.
   *  @throws OptionError where it cannot be known which variables that would be. */
  #averaged(method: string, variables?: Iterable<TrainableTensor>): TensorVariable[] | undefined {
    const given = variables && this.#tensors.list(method, variables);
    if (this.#waiting && given) this.build(given);
    if (this.#waiting && !given)
      throw new OptionError(
        "Averages that were loaded wait for their variables",
        `${method} before any is known`,
        "Call optimizer.build(model.trainableWeights) first.",
      );
    return given && this.#tensors.trainedOf(given);
  }

  /** @internal A model's fit begins. `weights` are to be trained, and bring the constraints of their layers; `frozen` are not. An average of values that
   *  were set since the last step would undo that at the end. */
  beginFit(weights: readonly LayerWeight[], frozen: readonly LayerWeight[]): void {
    this.build(weights);
    this.#forgetAccumulated(this.#tensors.trainedOf(frozen));
    const all = [...weights, ...frozen];
    const assigned = this.#tensors.trainedOf(all).filter(({ wasAssigned }) => wasAssigned);
    if (!this.useEma || assigned.length === 0) return;
    if (!this.#hasWarned)
      console.warn(
        `adamax: weights were set since the last step (${assigned.length} of ${all.length}), so their averages begin anew. (Said once.)`,
      );
    this.#hasWarned = true;
    this.resetAverages(assigned.map(({ tensor }) => tensor));
  }

  /** @internal Resolves when steps are as fast as they will be. */
  async ready(): Promise<void> {
    if (this.#near instanceof DeviceBackend) await this.#near.ready();
  }

  /** Exchanges the variables with their moving averages, for validation; call it again to go back. No step can be made in between.
   *  @throws OptionError unless useEma is on. */
  swapAverages(): void {
    if (this.useEma) this.#averaged("swapAverages");
    this.#rewrite(() => this.#core.swapAverages());
  }

  #rewrite(write: () => void): void {
    this.#find(this.#tensors.trained);
    write();
    this.#tensors.settle();
  }

  /** @internal Lends a checkpoint what it knows: the core's optimizer, and these weights (trained or not) as the core's variables. Until `use` is
   *  done, no tensor may be assigned to; what was written to the variables is then in the tensors. */
  async lend<Result>(
    weights: readonly TrainableTensor[],
    use: (optimizer: Optimizer<never>, variables: readonly Variable[]) => Promise<Result>,
  ): Promise<Result> {
    this.#prune();
    const variables = weights.map((weight) => this.#tensors.of(weight));
    this.#lent++;
    try {
      return await use(this.#core, variables);
    } finally {
      this.#lent--;
      for (const variable of new Set([...this.#tensors.trained, ...variables])) variable.settle();
    }
  }

  /** The options in Keras' snake_case, as TensorFlow.js saves them and Python reads them. A learning rate that is a function or a tf.Variable
   *  becomes the number that it is now, as in Keras; for a function, with a warning. */
  getConfig(): tf.serialization.ConfigDict {
    const config = this.#loaded.underNamesOfNow(this.#core.getConfig(), this.#tensors.known);
    if (typeof this.#internals.state.learningRate === "function") {
      config.learning_rate = this.learningRate;
      if (!this.#learningRate)
        console.warn(
          `adamax: no file can hold a function, so learningRate is saved as what it returns now, ${config.learning_rate}. ` +
            "Assign it again after loading: optimizer.learningRate = yourFunction.",
        );
    }
    return toTensorFlow(config) as tf.serialization.ConfigDict;
  }

  /** An optimizer from `getConfig`'s JSON, or from what tf_keras or Keras 3 wrote. TensorFlow.js passes the class as well.
   *  @throws OptionError for what cannot be carried over; no key is dropped silently. */
  static override fromConfig<T extends tf.serialization.Serializable>(
    cls: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T;
  static override fromConfig<T extends TensorOptimizer>(
    this: { new (options: never): T; core: OptimizerClass },
    config: Config,
    overrides?: object,
  ): T;
  static override fromConfig(first: unknown, second: unknown): unknown {
    const [Class, config, overrides] =
      typeof first === "function"
        ? [first as typeof TensorOptimizer, second, {}]
        : [this as typeof TensorOptimizer, first, second];
    const { excludeFromWeightDecay: names, ...options } = optionsFromConfig(
      coreOf(Class).rule,
      fromTensorFlow(config as Config),
      (overrides ?? {}) as OptimizerOptions,
    );
    const optimizer = new Class(options);
    optimizer.#loaded.patterns = [...((options.groups as Group[] | undefined) ?? []), { names: names as Group["names"] }].flatMap(
      (group) => group?.names ?? [],
    );
    if (names) optimizer.excludeFromWeightDecay({ names: names as (string | RegExp)[] });
    return optimizer;
  }

  /** The state as TensorFlow.js saves it with a model. The tensors are this optimizer's: it frees them at the next call and in `dispose`. */
  override async getWeights(): Promise<NamedTensor[]> {
    tf.dispose(this.#handedOut.map(({ tensor }) => tensor));
    this.#handedOut = [];
    this.#prune();
    await this.download();
    this.#handedOut = toWeights(this.#internals.state, this.#loaded.saved);
    return this.#handedOut;
  }

  /** Takes what getWeights returned, here or before it was saved; the tensors stay yours. Variables are found by name, and renamed ones by their
   *  place. Where there are none yet, the state waits for the first step.
   *  @throws CheckpointError for state that does not fit; in the first step, if it waited. */
  override async setWeights(weights: readonly NamedTensor[]): Promise<void> {
    const saved = await SavedWeights.read(weights);
    this.#prune();
    const isFresh = saved.isSpent; // it was saved before the first step, and everything begins anew
    this.#loaded.replace(saved, this.#tensors.trained);
    if (isFresh) this.resetAverages();
  }

  /** Frees the state. The variables keep their values. Twice is harmless. */
  override dispose(): void {
    this.#core.dispose();
    this.#near?.dispose();
    tf.dispose(this.#handedOut.map(({ tensor }) => tensor));
    this.#handedOut = [];
    this.#tensors.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** As of Variable. */
  get [Symbol.toStringTag](): string {
    return "Optimizer";
  }
}

/** @throws OptionError for what is no class of optimizers. */
const coreOf = (Class: { readonly core?: OptimizerClass } | undefined): OptimizerClass => {
  const core = Class?.core;
  if (core) return core;
  throw new OptionError(
    "TensorOptimizer is a base class. Received: a class without a core. Make one by tfOptimizer(YourOptimizer), or use Adamax.",
  );
};

/** What a step costs besides, where it does not run in TensorFlow.js' memory. */
const wayOfValues = (name: string | null | undefined): string => {
  if (!name) return "TensorFlow.js has no backend yet; an optimizer that is made after tf.ready() may run where the tensors are";
  if (name === "cpu") return "TensorFlow.js' tensors are in the same memory";
  const copied = readingCopies() ? "gradients" : "values and gradients";
  return `TensorFlow.js runs on ${name}, so ${copied} are copied to main memory in each step, and new values back`;
};

// Where a saved model names "Adamax" and `registerAdamax` was not called, tf.loadLayersModel makes TensorFlow.js' own, which cannot take state: it says only
// that it has no setWeights. Importing is enough to be led on.
tf.AdamaxOptimizer.prototype.setWeights = async () => {
  throw new CheckpointError(
    "TensorFlow.js' own Adamax cannot take the state that was saved",
    "a model that names Adamax, in a process where registerAdamax was not called",
    "Call registerAdamax() of adamax/tfjs before tf.loadLayersModel.",
  );
};
