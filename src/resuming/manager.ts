/** What a training that goes on after a restart needs of whoever keeps its checkpoints. */

import type { Values } from "../backend.js";
import { CheckpointError } from "../errors.js";
import { callable, flag, integerFrom, type Kind, type Kinds, optional } from "../kinds.js";
import type { Variable } from "../variable.js";

/** What a checkpoint is made of, or loaded into. */
export interface CheckpointContent<Optimizer> {
  readonly optimizer: Optimizer;
  readonly variables: readonly (Variable | Values)[];
  readonly names?: ReadonlyMap<Variable | Values, string>;
}

/** What a manager says about what it loaded. */
export interface FoundCheckpoint {
  readonly name: string;
  readonly user: unknown;
  /** Newer ones that are damaged, and how. */
  readonly skipped: readonly { readonly name: string; readonly error: Error }[];
}

/** Keeps checkpoints: the CheckpointManager of adamax/checkpoint does. */
export interface ManagerOf<Optimizer> {
  /** Told before a training, on each rank, which metrics its checkpoints will have. @throws what `save` would, where that can be seen already. */
  prepare?(metrics: readonly string[]): Promise<void>;
  save(content: CheckpointContent<Optimizer> & { user: unknown; metrics: Readonly<Record<string, number>> }): Promise<string>;
  /** null when there is none at all. */
  loadNewest(content: CheckpointContent<Optimizer>): Promise<FoundCheckpoint | null>;
}

/** When a training saves, and whether it goes on from what is there. */
export interface SavingOptions {
  /** After every so many epochs; always after the last one, and where the training was stopped. An integer, 1 or more; default 1. */
  everyEpochs?: number;
  /** Also after every so many batches, within epochs. An integer, 1 or more; default null: not. */
  everyBatches?: number | null;
  /** JSON of your own, asked for at each checkpoint: random state, place in the data ... It is saved as `own`. */
  user?: () => unknown;
  /** false: only saves, and goes on from nothing. Default true. */
  resume?: boolean;
}

/** Where a training was when a checkpoint was made: the `user` that is saved with it. */
export interface TrainingPlace {
  /** Whole epochs that were trained: the `initialEpoch` to go on with. */
  readonly epoch: number;
  /** Batches trained of the epoch after those; 0 after a whole one. */
  readonly batch: number;
  /** What your `user` gave; null without one. */
  readonly own: unknown;
}

export const savingKinds: Kinds<SavingOptions> = {
  everyEpochs: optional(integerFrom(1), 1),
  everyBatches: optional(integerFrom(1), null),
  user: optional(callable as Kind<() => unknown>, () => null),
  resume: optional(flag, true),
};

export const isManager = (value: unknown): value is ManagerOf<never> =>
  ["save", "loadNewest"].every((method) => typeof (value as Record<string, unknown> | null)?.[method] === "function");

/** Where the training was, and what `owner` needs to go on there: it saved that, and alone can read it.
 *  @throws CheckpointError for a checkpoint that was saved in another way. */
export const placeIn = (
  owner: string,
  { name, user }: FoundCheckpoint,
  isRecord: (training: object) => boolean,
): TrainingPlace & { readonly training: object } => {
  const { epoch, batch, own, by, training } = (user ?? {}) as Record<keyof TrainingPlace | "by" | "training", unknown>;
  if (by === owner && isCount(epoch) && isCount(batch) && typeof training === "object" && training && isRecord(training))
    return { epoch, batch, own, training };
  throw new CheckpointError(
    `${name} does not say where a training by ${owner} was`,
    typeof by === "string" ? `a checkpoint by ${by}` : "a checkpoint that was saved in another way",
    "To go on from it, load it yourself, pass initialEpoch, and give checkpoints { resume: false }.",
  );
};

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** What of a checkpoint was not used, or is not there, is not passed over in silence. */
export const warnOf = ({ name, skipped }: Pick<FoundCheckpoint, "name" | "skipped">, remarks: readonly string[] = []): void => {
  for (const { name: damaged, error } of skipped)
    console.warn(`adamax: ${damaged} is damaged, and training goes on from ${name}, which is older: ${error.message}`);
  for (const remark of remarks) console.warn(`adamax: ${name} has ${remark}.`);
};
