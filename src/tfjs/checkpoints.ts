/** Checkpoints of a model that TensorFlow.js' `fit` trains. */

import type { Callback, CallbackList, LayersModel } from "@tensorflow/tfjs-layers";
import { OptionError, show } from "../errors.js";
import { checkKinds, type Kind, oneOf, optional } from "../kinds.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import {
  type CheckpointContent,
  type FoundCheckpoint,
  isManager,
  type ManagerOf,
  type SavingOptions,
  savingKinds,
  type TrainingPlace,
} from "../resuming/manager.js";
import { together } from "../resuming/together.js";
import type { Variable } from "../variable.js";
import { ListCallback, type Params } from "./callback-lists.js";
import { automaticKind } from "./core/names.js";
import { TensorOptimizer } from "./core/optimizer.js";
import { type Keeper, ResumableFit } from "./resumable-fit.js";

/** Parts that may differ, as `loadCheckpoint` of adamax/checkpoint takes them. */
interface Parts {
  readonly settings: "same" | "mine";
  readonly onlyHere: readonly (string | RegExp)[];
  readonly onlyInFile: readonly (string | RegExp)[];
}

type Content = CheckpointContent<Optimizer<never>>;

/** What a CheckpointManager of adamax/checkpoint does. */
export interface Manager extends ManagerOf<Optimizer<never>> {
  loadNewest(content: Content & Partial<Parts>): Promise<FoundCheckpoint | null>;
  loadBest(content: Content & Partial<Parts>): Promise<FoundCheckpoint | null>;
}

/** When `checkpoints` saves, what besides the model, and whether it goes on from what is there. */
export type CheckpointsOptions = SavingOptions;

/** Which checkpoint `resume` goes on from, and what may differ between the file and the model. */
export interface ResumeOptions extends Partial<Parts> {
  /** The newest checkpoint that is whole (default), or the best by the manager's metric. */
  from?: "newest" | "best";
}

/** Where the training was that a checkpoint was made of. */
export interface ResumedPlace extends TrainingPlace {
  /** The checkpoint's name. */
  readonly name: string;
  /** Newer ones that are damaged, and how. */
  readonly skipped: readonly { readonly name: string; readonly error: Error }[];
}

const names: Kind<readonly (string | RegExp)[]> = {
  wanted: "names and regular expressions",
  holds: (value) => Array.isArray(value) && value.every((one) => typeof one === "string" || one instanceof RegExp),
};

/** A callback for `model.fit` and `model.fitDataset`, anywhere in their list of callbacks. It saves with a CheckpointManager: all weights of the
 *  model, the optimizer's state, and where the training is. Run again after it was killed, the program goes on at the batch after the newest
 *  checkpoint and ends as if it had never been; run again after it ended, it trains nothing. What was done is gone through, without a step and
 *  without telling other callbacks: of tensors one batch an epoch, of a dataset every batch.
 *  The metrics of a checkpoint are those of the epoch: `loss`, `val_loss` ... Within an epoch they are NaN, which is never best. */
export const checkpoints = (manager: Manager, options: CheckpointsOptions = {}): Callback => {
  assertManager("checkpoints", manager);
  return new Checkpoints(manager, checkKinds<CheckpointsOptions>("checkpoints", options, savingKinds));
};

const assertManager = (owner: string, manager: unknown): void => {
  if (!isManager(manager))
    throw new OptionError(
      `${owner} takes a CheckpointManager of adamax/checkpoint`,
      show(manager),
      "Make one: new CheckpointManager(folder).",
    );
};

class Checkpoints extends ListCallback {
  readonly #keeper: Keeper;
  readonly #options: Required<SavingOptions>;

  constructor(manager: Manager, options: Required<SavingOptions>) {
    super();
    this.#options = options;
    this.#keeper = {
      optimizerOf,
      async prepare(model, metrics) {
        const { ranks } = optimizerOf(model);
        const look = () => manager.prepare?.(metrics);
        await (ranks ? together(ranks, "the folder of checkpoints", look) : look());
      },
      async load(model) {
        const owner = optimizerOf(model);
        const { iterations } = owner;
        const found = await load(model, (content) => manager.loadNewest(content));
        const chosen = resumedByHand.get(owner);
        if (found && chosen?.iterations === iterations && chosen.name !== found.name)
          throw new OptionError(
            `The model was resumed from ${chosen.name}, and checkpoints would go on from the newest`,
            found.name,
            "Pass { resume: false } to checkpoints to go on from the one you chose, with its epoch as initialEpoch.",
          );
        return found;
      },
      save: (model, snapshot) =>
        optimizerOf(model).lend(model.weights, async (optimizer, variables) => {
          await manager.save({ optimizer, variables, names: namesInFile(model, variables), ...snapshot });
        }),
    };
  }

  protected override begin(list: CallbackList, params: Params): void {
    new ResumableFit(list, params, this.#keeper, this.#options);
  }
}

/** What `resume` loaded, and the iteration that it was of. */
const resumedByHand = new WeakMap<TensorOptimizer, { readonly name: string; readonly iterations: number }>();

/** Loads a checkpoint into a model that is made and compiled as it was: weights, trained or not, and the optimizer's state. null when there is
 *  none yet. `checkpoints` does it by itself as `fit` begins; this is for another than the newest, for a part of one, or without `fit`.
 *  @throws CheckpointError that lists what does not fit; the model is as before then. */
export const resume = async (model: LayersModel, manager: Manager, options: ResumeOptions = {}): Promise<ResumedPlace | null> => {
  assertManager("resume", manager);
  const { from, ...parts } = checkKinds<ResumeOptions>("resume", options, {
    from: optional(oneOf("newest", "best"), "newest"),
    settings: optional(oneOf("same", "mine"), "same"),
    onlyHere: optional(names, []),
    onlyInFile: optional(names, []),
  });
  const found = await load(model, (content) => {
    const asked = { ...content, ...parts };
    return from === "best" ? manager.loadBest(asked) : manager.loadNewest(asked);
  });
  if (!found) return null;
  const owner = optimizerOf(model);
  resumedByHand.set(owner, { name: found.name, iterations: owner.iterations });
  const { epoch = 0, batch = 0, own = null } = (found.user ?? {}) as Partial<TrainingPlace>;
  return { epoch, batch, own, name: found.name, skipped: found.skipped };
};

const load = async (
  model: LayersModel,
  from: (content: Content) => Promise<FoundCheckpoint | null>,
): Promise<FoundCheckpoint | null> => {
  const owner = optimizerOf(model);
  owner.build(model.trainableWeights);
  return owner.lend(model.weights, (optimizer, variables) =>
    from({ optimizer, variables, names: namesInFile(model, variables) }),
  );
};

const optimizerOf = (model: { readonly optimizer: unknown }): TensorOptimizer => {
  const optimizer: unknown = model?.optimizer;
  if (optimizer instanceof TensorOptimizer) return optimizer;
  throw new OptionError(
    "Checkpoints are made of models that an optimizer of adamax/tfjs trains",
    show(optimizer ?? model),
    "Compile the model with one: new Adamax({ ... }).",
  );
};

/** The names that the weights would have in a process that made no other model: those that were chosen stay, TensorFlow.js' own are counted anew. */
const namesInFile = ({ weights }: LayersModel, variables: readonly Variable[]): Map<Variable, string> => {
  const counts = new Map<string, number>();
  const renamed = new Map<string, string>();
  const rename = (part: string): string => {
    const kind = automaticKind(part);
    if (kind === null) return part;
    if (!renamed.has(part)) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      renamed.set(part, `${kind}${counts.get(kind)}`);
    }
    return renamed.get(part)!;
  };
  return new Map(variables.map((variable, i) => [variable, weights[i]!.originalName.split("/").map(rename).join("/")]));
};
