/** One `fit` or `fitDataset` that saves checkpoints, and goes on from the newest. */

import * as tf from "@tensorflow/tfjs-core";
import { type CallbackList, EarlyStopping, type LayersModel, type Logs } from "@tensorflow/tfjs-layers";
import type { Ranks } from "../backend.js";
import { OptionError } from "../errors.js";
import { fromJson, toJson } from "../resuming/json.js";
import { type FoundCheckpoint, placeIn, type SavingOptions, warnOf } from "../resuming/manager.js";
import { type CallbackState, restoreStates, type Stateful, statesOf } from "../resuming/states.js";
import type { Params } from "./callback-lists.js";
import type { TensorOptimizer } from "./core/optimizer.js";
import { assertHas, type BaseLogger, type EarlyStoppingState, lacking } from "./core/private-members.js";

/** What is saved as `user`, and the metrics to choose the best by. */
export interface Snapshot {
  readonly user: unknown;
  readonly metrics: Readonly<Record<string, number>>;
}

/** Loads and saves a model and its optimizer. */
export interface Keeper {
  /** @throws what saving with these metrics would, where that can be seen already. */
  prepare(model: LayersModel, metrics: readonly string[]): Promise<void>;
  load(model: LayersModel): Promise<FoundCheckpoint | null>;
  save(model: LayersModel, snapshot: Snapshot): Promise<void>;
  optimizerOf(model: LayersModel): TensorOptimizer;
}

/** What stands in a checkpoint besides the model and its optimizer. */
interface TrainingRecord {
  /** Whole epochs: their numbers, from 0, how many batches each had, and what TensorFlow.js logged of them, name by name. */
  readonly epochs: readonly number[];
  readonly batches: readonly number[];
  readonly logs: Readonly<Record<string, readonly number[]>>;
  /** Of the epoch under way: what its BaseLogger holds. */
  readonly seen: number;
  /** How many examples that is; null where ranks train together, of which each knows its own. */
  readonly examples: number | null;
  readonly totals: Readonly<Record<string, number>>;
  readonly callbacks: readonly CallbackState[];
}

interface Place extends TrainingRecord {
  readonly name: string;
  /** Whole epochs, and batches of the next one. */
  readonly epoch: number;
  readonly batch: number;
}

const OWNER = "model.fit";

/** Stands between the loop of TensorFlow.js and its list of callbacks. The loop cannot be told where to begin: it goes through what was done
 *  before, while no step is made and no callback hears of it. */
export class ResumableFit {
  readonly #list: CallbackList;
  readonly #params: Params;
  readonly #keeper: Keeper;
  readonly #options: Required<SavingOptions>;
  /** Of the prototype: what reaches every callback of the list. */
  readonly #all: Pick<CallbackList, Event>;
  #model!: LayersModel;
  /** Where to go on, as long as the loop has not come there. */
  #ahead: Place | null = null;
  /** There is nothing left to train. */
  #isFinished = false;
  /** This ends an epoch that is gone through; else, it is the user who stops. */
  #isCut = false;
  #epoch = 0;
  /** Batches trained of this epoch. */
  #batch = 0;
  /** Examples of this epoch that were gone through. */
  #passed = 0;
  /** A checkpoint is due after this batch; it is made before the next one, since the last batch of an epoch does not know that it is. */
  #isDue = false;
  #epochs: number[] = [];
  #batches: number[] = [];
  #logs: Record<string, number[]> = {};

  constructor(list: CallbackList, params: Params, keeper: Keeper, options: Required<SavingOptions>) {
    this.#list = list;
    this.#params = params;
    this.#keeper = keeper;
    this.#options = options;
    this.#all = Object.fromEntries(EVENTS.map((event) => [event, list[event].bind(list)])) as unknown as Pick<
      CallbackList,
      Event
    >;
    for (const event of EVENTS) list[event] = this[event].bind(this) as never;
  }

  setModel(model: LayersModel): void {
    this.#model = model;
    this.#all.setModel(model);
  }

  async onTrainBegin(logs?: Logs): Promise<void> {
    await this.#all.onTrainBegin(logs);
    const found = this.#options.resume ? await this.#keeper.load(this.#model) : null;
    if (found) this.#aimAt(found);
    if (!this.#isFinished) await this.#keeper.prepare(this.#model, this.#names);
  }

  #aimAt(found: FoundCheckpoint): void {
    const place = placeOf(found);
    const { initialEpoch } = this.#params as { initialEpoch: number | null };
    if ((initialEpoch ?? 0) > place.epoch)
      throw new OptionError(
        "initialEpoch would leave out epochs that were not trained",
        `initialEpoch=${initialEpoch}, and ${found.name} is of epoch ${place.epoch}`,
        "Leave it out: checkpoints knows where to go on. Or pass { resume: false }.",
      );
    this.#ahead = place;
    this.#epochs = [...place.epochs];
    this.#batches = [...place.batches];
    this.#logs = columnsOf(place.logs);
    const { history } = this.#model;
    Object.assign(history, { epoch: [...place.epochs], history: columnsOf(place.logs) });
    this.#model.stopTraining = false; // it may be left from another fit
    warnOf(found, this.#restoreCallbacks(place));
    this.#isFinished = place.epoch >= this.#total || this.#model.stopTraining; // EarlyStopping stops what it had stopped
    if (this.#params.verbose) console.log(this.#whereItIs(place));
  }

  async onEpochBegin(epoch: number, logs?: Logs): Promise<void> {
    this.#epoch = epoch;
    this.#batch = this.#passed = 0;
    const ahead = this.#ahead;
    if (ahead && (this.#isFinished || epoch < ahead.epoch)) return;
    if (ahead?.batch === 0) await this.#goOn(ahead);
    await this.#all.onEpochBegin(epoch, logs);
  }

  async onBatchBegin(batch: number, logs?: Logs): Promise<void> {
    if (this.#ahead) return this.#skipStep();
    if (this.#isDue) await this.#saveWithin();
    await this.#all.onBatchBegin(batch, logs);
  }

  async onBatchEnd(batch: number, logs?: Logs): Promise<void> {
    const ahead = this.#ahead;
    if (!ahead) {
      await this.#all.onBatchEnd(batch, logs);
      this.#batch = batch + 1;
      this.#isDue ||= this.#batch % (this.#options.everyBatches ?? Infinity) === 0;
    } else if (this.#isFinished || this.#epoch < ahead.epoch) {
      // Tensors are the same ones in every epoch. A dataset may go on where it was, so it has to be drawn from until then.
      const last = ahead.batches[ahead.epochs.indexOf(this.#epoch)];
      this.#isCut = !this.#model.stopTraining && (this.#isFinished || this.#hasTensors || batch + 1 === last);
      if (this.#isCut) this.#model.stopTraining = true;
    } else if (this.#hasCome(ahead, batch, logs)) await this.#goOn({ ...ahead, batch: batch + 1 });
  }

  /** Whether what has been trained of this epoch ends with this batch. Batches may be longer or shorter than they were, so examples count, where they are
   *  known.
   *  @throws OptionError where no batch ends there. */
  #hasCome({ name, epoch, batch: batches, examples }: Place, batch: number, logs: Logs | undefined): boolean {
    const size = logs?.size;
    if (this.#ranks || !examples || typeof size !== "number") return batch + 1 === batches;
    this.#passed += size;
    if (this.#passed <= examples) return this.#passed === examples;
    throw new OptionError(
      "A training that goes on in the middle of an epoch goes on after the examples that it had trained",
      `a batch that ends after ${this.#passed} examples of epoch ${epoch + 1}, and ${name} was made after ${examples}`,
      `Give batches as they were (${batches} up to there), or others of which one ends there.`,
    );
  }

  async onEpochEnd(epoch: number, logs: Logs = {}): Promise<void> {
    if (this.#ahead) {
      tf.dispose(logs as tf.TensorContainer);
      if (this.#isFinished) return;
      const isStopped = this.#model.stopTraining && !this.#isCut;
      if (epoch === this.#ahead.epoch && !isStopped) throw tooFew(this.#ahead);
      this.#model.stopTraining = isStopped;
      this.#isCut = false;
      return;
    }
    const isWhole = !this.#model.stopTraining || this.#batch === this.#batchesOfTensors;
    if (!isWhole) await this.#saveWithin(); // before callbacks hear of an epoch that will go on
    await this.#all.onEpochEnd(epoch, logs);
    if (!isWhole) return;
    const numbers = await numbersOf(logs);
    this.#epochs.push(epoch);
    this.#batches.push(this.#batch);
    for (const [name, value] of Object.entries(numbers)) {
      this.#logs[name] ??= [];
      this.#logs[name].push(value);
    }
    const done = epoch + 1;
    if (this.#isDue || done % this.#options.everyEpochs === 0 || done === this.#total || this.#model.stopTraining)
      await this.#save(done, 0, numbers);
  }

  async onTrainEnd(logs?: Logs): Promise<void> {
    if (this.#ahead) await this.#goOn({ ...this.#ahead, batch: 0 }); // the epoch that it is in does not go on
    await this.#all.onTrainEnd(logs);
  }

  /** What is measured of an epoch. */
  get #names(): readonly string[] {
    return this.#params.metrics as readonly string[];
  }

  get #ranks(): Ranks | null {
    return this.#keeper.optimizerOf(this.#model).ranks;
  }

  get #total(): number {
    return this.#params.epochs as number;
  }

  get #hasTensors(): boolean {
    return this.#params.samples != null;
  }

  /** How many batches an epoch of tensors has. */
  get #batchesOfTensors(): number {
    const { samples, batchSize } = this.#params as { samples: number | null; batchSize: number };
    return samples === null ? NaN : Math.ceil(samples / batchSize);
  }

  get #logger(): BaseLogger {
    const logger = this.#list.callbacks.find((callback) => lacking("baseLogger", callback).length === 0) ?? {};
    assertHas("baseLogger", logger);
    return logger as BaseLogger;
  }

  get #stateful(): Stateful<LayersModel>[] {
    return this.#list.callbacks.flatMap((callback) => statefulOf(callback) ?? []);
  }

  #restoreCallbacks({ callbacks }: Place): string[] {
    return restoreStates(this.#stateful, callbacks, this.#model);
  }

  /** The loop is where the checkpoint was made. Everything is loaded again, because going through what was done has left its traces: the forward
   *  pass in the statistics of normalisation, and what callbacks did as the epoch began. */
  async #goOn(place: Place): Promise<void> {
    this.#ahead = null;
    this.#batch = place.batch;
    await this.#keeper.load(this.#model);
    this.#restoreCallbacks(place);
    if (place.batch === 0) return;
    const totals = Object.entries(place.totals).map(([name, total]) => [name, tf.scalar(total)]);
    Object.assign(this.#logger, { seen: place.seen, totals: Object.fromEntries(totals) });
  }

  /** The optimizer's next step is none. Metrics are computed along with the loss, and TensorFlow.js wants to have them. */
  #skipStep(): void {
    const optimizer = this.#keeper.optimizerOf(this.#model);
    const hasMetrics = this.#model.metricsNames.length > 1;
    optimizer.minimize = (loss) => {
      delete (optimizer as { minimize?: unknown }).minimize;
      return hasMetrics ? tf.tidy(loss) : tf.scalar(0);
    };
  }

  /** Within an epoch nothing is the best: a mean over some of its batches compares with no other. */
  async #saveWithin(): Promise<void> {
    await this.#save(this.#epoch, this.#batch, Object.fromEntries(this.#names.map((name) => [name, NaN])));
  }

  async #save(epoch: number, batch: number, metrics: Readonly<Record<string, number>>): Promise<void> {
    this.#isDue = false;
    const seen = batch === 0 ? 0 : this.#logger.seen;
    const record: TrainingRecord = {
      epochs: this.#epochs,
      batches: this.#batches,
      logs: this.#logs,
      seen,
      examples: this.#ranks ? null : seen,
      totals: batch === 0 ? {} : await this.#totals(),
      callbacks: statesOf(this.#stateful, this.#model),
    };
    const user = { epoch, batch, own: this.#options.user(), by: OWNER, training: toJson(record) };
    await this.#keeper.save(this.#model, { user, metrics });
  }

  /** The logger also sums up the numbers and sizes of batches, which nobody reads. */
  async #totals(): Promise<Record<string, number>> {
    const names = this.#names;
    return numbersOf(Object.fromEntries(Object.entries(this.#logger.totals as Logs).filter(([name]) => names.includes(name))));
  }

  #whereItIs({ name, epoch, batch }: Place): string {
    if (epoch >= this.#total) return `adamax: ${name}: all ${this.#total} epochs are trained, nothing is left to do`;
    if (this.#isFinished) return `adamax: ${name}: the training was stopped for good after ${epoch} of ${this.#total} epochs`;
    return `adamax: goes on from ${name}, ${batch > 0 ? `in epoch ${epoch + 1}, after ${batch} batches` : `after epoch ${epoch}`}`;
  }
}

const EVENTS = ["setModel", "onTrainBegin", "onEpochBegin", "onBatchBegin", "onBatchEnd", "onEpochEnd", "onTrainEnd"] as const;
type Event = (typeof EVENTS)[number];

const columnsOf = (logs: TrainingRecord["logs"]): Record<string, number[]> =>
  Object.fromEntries(Object.entries(logs).map(([name, values]) => [name, [...values]]));

const isRecord = ({ epochs, batches, logs, totals, callbacks }: Partial<TrainingRecord>): boolean =>
  [epochs, batches, callbacks].every(Array.isArray) && [logs, totals].every((one) => typeof one === "object");

const placeOf = (found: FoundCheckpoint): Place => {
  const { epoch, batch, training } = placeIn(OWNER, found, isRecord);
  return { ...(fromJson(training) as TrainingRecord), epoch, batch, name: found.name };
};

/** A callback with `state` and `restore`, or TensorFlow.js' own that has some. */
const statefulOf = (callback: object): Stateful<LayersModel> | null => {
  if (callback instanceof EarlyStopping) {
    assertHas("earlyStopping", callback); // set as the training begins
    const known = callback as unknown as EarlyStoppingState;
    return {
      name: `EarlyStopping(${known.monitor}, ${known.mode})`, // of two that watch different things, none gets the other's
      state: () => ({ best: known.best, wait: known.wait, stoppedEpoch: known.stoppedEpoch }),
      restore(state, model) {
        Object.assign(known, state);
        if (known.wait > 0 && known.wait >= known.patience) model.stopTraining = true;
      },
    };
  }
  const { state, restore } = callback as Partial<Stateful<LayersModel>>;
  return state && restore ? (callback as Stateful<LayersModel>) : null;
};

/** The numbers of an epoch or a batch; TensorFlow.js has some of them in tensors still, which it frees. */
const numbersOf = async (logs: Logs): Promise<Record<string, number>> =>
  Object.fromEntries(
    await Promise.all(
      Object.entries(logs).map(async ([name, value]) => [
        name,
        typeof value === "number" ? value : (await (value as tf.Scalar).data())[0]!,
      ]),
    ),
  );

const tooFew = ({ name, epoch, batch }: Place) =>
  new OptionError(
    "The data must give the same batches again when a training goes on in the middle of an epoch",
    `fewer than the ${batch} batches of epoch ${epoch + 1} that ${name} was made after`,
    "Use a dataset that can be read from its beginning.",
  );
