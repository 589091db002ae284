/** A training's checkpoints: when they are saved, what stands in them, and how it goes on from one. */

import type { Values } from "../backend.js";
import { OptionError, show } from "../errors.js";
import { Optimizer } from "../optimizer/optimizer.js";
import { fromJson, toJson } from "../resuming/json.js";
import { type FoundCheckpoint, placeIn, warnOf } from "../resuming/manager.js";
import { type CallbackState, restoreStates, type Stateful, statesOf } from "../resuming/states.js";
import { together } from "../resuming/together.js";
import { Variable } from "../variable.js";
import type { CheckpointSettings } from "./options.js";
import { ranksOf } from "./pace.js";
import type { SavedSums, Sums } from "./sums.js";
import type { Callback, EpochResult, Training } from "./training.js";

/** Where a training is. */
export interface Position {
  /** Epochs that are whole. */
  epoch: number;
  /** Over the batches of the next one that were trained already. */
  sums: Sums;
  /** Spent on those. */
  seconds: number;
}

/** What stands in a checkpoint besides variables and optimizer. */
interface TrainingRecord extends Omit<Position, "epoch" | "sums"> {
  readonly sums: SavedSums;
  /** The whole epochs, column by column: numbers of one name take less room together. */
  readonly history: Readonly<Record<string, readonly (number | null)[]>>;
  /** Which of the optimizer's variables, in build order, had been in a pair, in the order in which they first were. */
  readonly seen: readonly number[];
  readonly callbacks: readonly CallbackState[];
}

/** What a checkpoint says about the training that it was made of. */
export interface Resumed extends Omit<Position, "sums">, Pick<FoundCheckpoint, "name" | "skipped"> {
  readonly sums: SavedSums;
  readonly history: readonly EpochResult[];
  readonly callbacks: readonly CallbackState[];
}

/** The variables in training: they are added to as they are seen. */
type RunningTraining<V> = Training<V> & { readonly variables: Set<V> };

export class Checkpointing<V> {
  readonly settings: CheckpointSettings;
  readonly #optimizer: Optimizer<never>;
  readonly #training: RunningTraining<V>;
  readonly #stateful: readonly Stateful<Training<V>>[];
  /** What the checkpoints are of: variables of the model, then arrays of callbacks. */
  readonly #variables: readonly (Variable | Values)[];
  readonly #callbacks: readonly Callback<V>[];
  #own: readonly Variable[] = [];
  /** Iteration and place of what was saved or loaded last. */
  #saved = "";

  /** @throws OptionError for an optimizer of another library, and where it is not known what to load into. */
  constructor(settings: CheckpointSettings, training: RunningTraining<V>, callbacks: readonly Callback<V>[]) {
    this.settings = settings;
    this.#training = training;
    this.#optimizer = optimizerOf(training.optimizer);
    this.#variables = settings.variables ?? this.#optimizer.trainableVariables;
    if (this.#variables.length === 0)
      throw new OptionError(
        "checkpoints of fit must know what to load into",
        "an optimizer that is not built, and no variables",
        "Pass checkpoints: { manager, variables: [ ... ] }, with every variable that is trained, or call optimizer.build first.",
      );
    this.#callbacks = callbacks;
    this.#stateful = callbacks.filter(
      (callback): callback is Callback<V> & Stateful<Training<V>> => callback.state !== undefined,
    );
  }

  /** Called when the callbacks know that the training begins. */
  begin(): void {
    this.#own = this.#callbacks.flatMap((callback) => callback.ownVariables?.(this.#variables) ?? []);
  }

  /** Called before there is something to save. @throws what saving with these metrics would, where that can be seen already. */
  async prepare(metrics: readonly string[]): Promise<void> {
    await this.settings.manager.prepare?.(metrics);
  }

  /** Loads the newest checkpoint that is whole into variables, optimizer and the arrays of callbacks. null where there is none.
   *  @throws CheckpointError for one that does not fit, or that no `fit` saved. */
  async load(): Promise<Resumed | null> {
    const variables = [...this.#variables, ...this.#own];
    const found = await this.settings.manager.loadNewest({ optimizer: this.#optimizer, variables });
    if (!found) return null;
    const { epoch, training } = placeIn(OWNER, found, isRecord);
    const { history, seen, ...record } = fromJson(training) as TrainingRecord;
    for (const place of seen) this.#training.variables.add(this.#given(place) as V);
    this.#saved = this.#key(epoch, record.sums);
    return { ...record, epoch, history: rowsOf(history), name: found.name, skipped: found.skipped };
  }

  #key(epoch: number, { count }: Pick<Sums, "count">): string {
    return `${this.#optimizer.iterations} ${epoch} ${count}`;
  }

  /** Gives callbacks back what they knew. `measured`: names of what is measured now. */
  restore(from: Resumed, measured: readonly string[]): void {
    const { epoch, sums } = from;
    const fresh = sums.count > 0 ? measured.filter((name) => !Object.hasOwn(sums.totals, name)) : [];
    const remarks = fresh.map((name) => `no ${name} of epoch ${epoch + 1}, whose mean will be over the batches that are left`);
    warnOf(from, [...remarks, ...restoreStates(this.#stateful, from.callbacks, this.#training)]);
  }

  /** Whether a checkpoint is due after so many batches of an epoch, or after so many epochs. */
  isDue(every: "everyBatches" | "everyEpochs", done: number): boolean {
    return done % (this.settings[every] ?? Infinity) === 0;
  }

  /** Saves a place, unless it was saved already. `metrics` are what the manager chooses the best by.
   *  @throws CheckpointError when it cannot be written. */
  async save({ epoch, sums, seconds }: Position, metrics: Readonly<Record<string, number>>): Promise<void> {
    const key = this.#key(epoch, sums);
    if (key === this.#saved) return;
    const { manager, user } = this.settings;
    const told = (): object => {
      const record: TrainingRecord = {
        history: columnsOf(this.#training.history.epochs.filter((result) => result.epoch <= epoch)),
        sums,
        seconds,
        seen: this.#placesOfSeen(),
        callbacks: statesOf(this.#stateful, this.#training),
      };
      return { epoch, batch: sums.count, own: user(), by: OWNER, training: toJson(record) };
    };
    await manager.save({
      optimizer: this.#optimizer,
      variables: [...this.#variables, ...this.#own],
      user: await together(ranksOf(this.#optimizer), "callbacks", told), // they are the caller's code
      metrics,
    });
    this.#saved = key;
  }

  /** @throws OptionError for a variable that is trained, and that no checkpoint could be loaded into. */
  assertNamed(): void {
    const named = new Set(this.#variables.flatMap(namesOf));
    for (const variable of this.#training.variables)
      if (!named.has(variable))
        throw new OptionError(
          "checkpoints of fit must name every variable that is trained",
          `variables without ${variable instanceof Variable ? variable : show(variable)}`,
          "Add it: a checkpoint could not be loaded without it.",
        );
  }

  /** By the order of the build, which a checkpoint keeps: that of the list of variables may change. */
  #placesOfSeen(): number[] {
    this.assertNamed();
    const { trainableVariables } = this.#optimizer;
    const places = new Map(trainableVariables.flatMap((one, place) => namesOf(one).map((name) => [name, place] as const)));
    return [...this.#training.variables].map((variable) => places.get(variable)!);
  }

  /** What the loss calls the variable at this place: an array, where that was given for it. */
  #given(place: number): unknown {
    const variable = this.#optimizer.trainableVariables[place];
    return this.#variables.find((one) => one === variable?.visible) ?? variable;
  }
}

/** What a loss may call a variable: itself, or the array that is its value. */
const namesOf = (variable: Variable | Values): unknown[] =>
  variable instanceof Variable && variable.visible ? [variable, variable.visible] : [variable];

const OWNER = "fit";

const optimizerOf = (optimizer: unknown): Optimizer<never> => {
  if (optimizer instanceof Optimizer) return optimizer as Optimizer<never>;
  throw new OptionError(
    "Checkpoints are made of optimizers of this library",
    show(optimizer),
    "Save another optimizer's state in a callback of your own.",
  );
};

const isRecord = ({ history, sums, seen, callbacks }: Partial<TrainingRecord>): boolean =>
  typeof history === "object" && typeof sums?.totals === "object" && Array.isArray(seen) && Array.isArray(callbacks);

const columnsOf = (epochs: readonly EpochResult[]): TrainingRecord["history"] => {
  const names = new Set(epochs.flatMap((result) => Object.keys(result)));
  return Object.fromEntries([...names].map((name) => [name, epochs.map((result) => result[name] ?? null)]));
};

const rowsOf = (columns: TrainingRecord["history"]): EpochResult[] => {
  const entries = Object.entries(columns);
  const length = entries[0]?.[1].length ?? 0;
  return Array.from({ length }, (_, row) =>
    Object.fromEntries(entries.flatMap(([name, column]) => (column[row] === null ? [] : [[name, column[row]]]))),
  ) as unknown as EpochResult[];
};
