/** From a file back into variables and an optimizer: everything is compared before anything is touched. */

import type { OnProgress, Ranks } from "../backend.js";
import { CheckpointError } from "../errors.js";
import type { Config } from "../optimizer/configuration.js";
import { holdWith } from "../optimizer/holding.js";
import { internalsOf } from "../optimizer/optimizer.js";
import { type Counters, setCounters } from "../optimizer/state.js";
import { together } from "../resuming/together.js";
import { ARRAYS } from "../rule/program.js";
import { optionsFrom } from "../spelling.js";
import type { Variable } from "../variable.js";
import {
  isNamed,
  type Names,
  refuseDifferences,
  settingDifferences,
  tensorDifferences,
  unusedNames,
  variableDifferences,
} from "./compare.js";
import { crc32 } from "./format/crc32.js";
import type { JsonValue } from "./format/json.js";
import { readHeader, type TensorPlace } from "./format/safetensors.js";
import { namedTensors, readTensors } from "./format/tensors.js";
import {
  type AsNewOptimizer,
  type CommonOptions,
  checkLoadOptions,
  type IntoOptimizer,
  isClass,
  type LoadOptions,
} from "./load-options.js";
import { makeOptimizer, makeVariables } from "./make.js";
import { assertSame, ranksOf } from "./on-ranks.js";
import {
  type AnyOptimizer,
  builtModel,
  type Description,
  type Metrics,
  modelOf,
  type NamedVariable,
  otherLives,
  readDescription,
  type SavedVariable,
  type StateTensor,
  tensorsOf,
  variableName,
  type WholeCheckpoint,
} from "./state.js";
import { type CheckpointSource, openSource, type Source } from "./storage/source.js";

/** What was loaded. */
export interface Loaded<T> {
  readonly optimizer: T;
  /** By their names in the file; also those that were made. */
  readonly variables: ReadonlyMap<string, Variable>;
  /** Your own JSON; null if there was none. */
  readonly user: JsonValue;
  readonly metrics: Metrics;
}

/** Reads the whole file once. Whoever opens closes the source.
 *  @throws CheckpointError unless it is a checkpoint and every checksum is right. */
export const checkWhole = async (source: Source, onProgress?: OnProgress): Promise<WholeCheckpoint> => {
  const header = await readHeader(source);
  const description = readDescription(header, source);
  await readTensors(source, header, () => {}, onProgress);
  return { source, header, description };
};

/** Loads what `saveCheckpoint` saved. Names, shapes, dtypes, settings and checksums are compared first: a checkpoint that does not fit
 *  leaves variables and optimizer as they are. On a mesh every rank loads the same file, and keeps its part.
 *  @throws CheckpointError that lists what differs, or says what is damaged. */
export function loadCheckpoint<T extends AnyOptimizer>(source: CheckpointSource, options: IntoOptimizer<T>): Promise<Loaded<T>>;
export function loadCheckpoint<T extends AnyOptimizer>(source: CheckpointSource, options: AsNewOptimizer<T>): Promise<Loaded<T>>;
export async function loadCheckpoint<T extends AnyOptimizer>(
  given: CheckpointSource,
  options: LoadOptions<T>,
): Promise<Loaded<T>> {
  const ranks = ranksOf(options as AsNewOptimizer<T>);
  let source: Source | null = null;
  try {
    const { checked, checkpoint } = await together(ranks, LOADING, async () => {
      const checked = checkLoadOptions(options);
      source = await openSource(given);
      return { checked, checkpoint: await checkWhole(source, checked.onProgress) };
    });
    await assertSameCheckpoint(ranks, checkpoint);
    return await loadWhole(ranks, checkpoint, checked);
  } finally {
    await (source as Source | null)?.close();
  }
}

/** What ranks do. */
export const LOADING = "a checkpoint to load";

/** @throws CheckpointError, on every rank, where another file lies on one of them. */
export const assertSameCheckpoint = (ranks: Ranks | null, { source, header }: WholeCheckpoint): Promise<void> =>
  assertSame(
    ranks,
    [source.size, crc32(header.bytes)],
    "load the same checkpoint",
    "Load from a folder that all machines share, or copy the file to each of them.",
  );

/** Compares, then loads. */
export const loadWhole = async <T extends AnyOptimizer>(
  ranks: Ranks | null,
  checkpoint: WholeCheckpoint,
  options: LoadOptions<T>,
): Promise<Loaded<T>> => {
  if (!isClass<T>(options.optimizer)) {
    const { settings } = options as IntoOptimizer<T>;
    return fill(ranks, checkpoint, options.optimizer, {
      ...options,
      strict: settings === "same",
      keepsRate: settings === "mine",
    });
  }
  const { options: asked = {}, variables } = options as AsNewOptimizer<T>;
  const overrides = optionsFrom(asked as Config); // for what is undefined, the file's
  let optimizer: T | null = null;
  try {
    const made = await together(ranks, LOADING, () => {
      const given = [...(variables ?? makeVariables(checkpoint, options as AsNewOptimizer<T>))];
      optimizer = makeOptimizer(checkpoint, { ...(options as AsNewOptimizer<T>), options: overrides }, given);
      return { optimizer, given };
    });
    const strict = !Object.keys(overrides).some((name) => !RUNS_ONLY.has(name));
    const keepsRate = "learningRate" in overrides;
    return await fill(ranks, checkpoint, made.optimizer, { ...options, variables: made.given, strict, keepsRate });
  } catch (error) {
    (optimizer as T | null)?.dispose();
    throw error;
  }
};

/** Options that say how a step runs, and not what it computes; and the rate that a function must give again. */
const RUNS_ONLY: ReadonlySet<string> = new Set(["name", "backend", "threads", "jitCompile", "mesh", "learningRate"]);

/** How strictly a checkpoint is compared, and what stays as it is. */
interface Filling extends CommonOptions {
  /** Every setting, and what holds for each variable, must be as in the file. */
  readonly strict: boolean;
  readonly keepsRate: boolean;
}

/** What is to be loaded into what.
 *  @throws CheckpointError that lists what differs. */
const compare = (
  { source, header, description }: WholeCheckpoint,
  optimizer: AnyOptimizer,
  { variables = [], names, onlyHere = [], onlyInFile = [], strict, keepsRate }: Filling,
) => {
  const { state, life } = internalsOf(optimizer);
  life.assert("load");
  const isBuilt = state.trained.length > 0;
  const tensorsInFile = namedTensors(header, source);
  const saved = description.variables.filter(({ name }) => !isNamed(onlyInFile, name));
  const model = isBuilt ? modelOf(state, variables, names) : planned(modelOf(state, variables, names), saved, onlyHere);
  const tensorsHere = tensorsOf(state, model);

  const namesOf = (tensors: readonly { readonly name: string }[]) => tensors.flatMap(({ name }) => [name, variableName(name)]);
  const wanted = tensorsHere.filter(({ name, of }) => !isNamed(onlyHere, name, of));
  const offered = tensorsInFile.filter(({ name }) => !isNamed(onlyInFile, name, variableName(name)));
  refuseDifferences(source, [
    ...unusedNames("onlyHere", onlyHere, namesOf(tensorsHere)),
    ...unusedNames("onlyInFile", onlyInFile, namesOf(tensorsInFile)),
    ...tensorDifferences(offered, wanted),
    ...(strict
      ? [...settingDifferences(description, optimizer, keepsRate), ...variableDifferences(saved, model, optimizer)]
      : []),
    ...windowDifferences(description, optimizer),
  ]);

  const loaded = new Set(wanted.map(({ name }) => name));
  const others = otherLives(
    model.filter(({ name }) => loaded.has(`variables/${name}`)),
    life,
  );
  for (const other of others) other.assert("write");
  const begun = isBuilt ? [] : model.filter(({ trained }) => trained).map(({ given }) => given);
  return { model, begun, loaded, others };
};

const fill = async <T extends AnyOptimizer>(
  ranks: Ranks | null,
  checkpoint: WholeCheckpoint,
  optimizer: T,
  filling: Filling,
): Promise<Loaded<T>> => {
  const { source, header, description } = checkpoint;
  const { onProgress, keepsRate } = filling;
  const { state, life } = internalsOf(optimizer);
  const { model, begun, loaded, others } = await together(ranks, LOADING, () => compare(checkpoint, optimizer, filling));
  if (begun.length > 0) optimizer.build(begun);
  const built = builtModel(state, model);
  const targets = new Map(tensorsOf(state, built).map((tensor) => [tensor.name, tensor]));
  await holdWith(others, life, async (assertHeld) => {
    const take = async ({ name }: TensorPlace, at: number, bytes: Uint8Array) => {
      assertHeld();
      if (loaded.has(name)) await write(targets.get(name)!, at, bytes);
    };
    const read = () =>
      readTensors(source, header, take, onProgress).catch((error) => {
        throw brokeOff(source, error);
      });
    await together(ranks, LOADING, read);
    await beginAnew([...targets.values()], loaded);
    assertHeld();
    setCounters(state, countersOf(description, optimizer, built, keepsRate));
  });
  return {
    optimizer,
    variables: new Map(model.map(({ name, variable }) => [name, variable])),
    user: description.user,
    metrics: description.metrics,
  };
};

/** The model as the optimizer will be built for it: what the file trains, in its order, and what is new. */
const planned = (model: readonly NamedVariable[], saved: readonly SavedVariable[], onlyHere: Names): NamedVariable[] => {
  const places = new Map(saved.map(({ name }, place) => [name, place]));
  const trained = new Set(saved.filter((variable) => variable.trained).map(({ name }) => name));
  return model
    .map((one) => ({ ...one, trained: trained.has(one.name) || (!places.has(one.name) && isNamed(onlyHere, one.name)) }))
    .sort((a, b) => (places.get(a.name) ?? Infinity) - (places.get(b.name) ?? Infinity) || 0);
};

const write = async ({ entry }: StateTensor, at: number, bytes: Uint8Array): Promise<void> => {
  const Values = ARRAYS[entry.variable.dtype];
  const size = Values.BYTES_PER_ELEMENT;
  const { buffer, byteOffset } = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  await entry.write(at / size, new Values(buffer as ArrayBuffer, byteOffset, bytes.length / size));
};

/** What the file does not have begins as in a new optimizer: an average with its value, all else with zeros. Steps that were made here have left
 *  something else, which belongs to another count of them. */
const beginAnew = async (tensors: readonly StateTensor[], loaded: ReadonlySet<string>): Promise<void> => {
  const values = new Map(tensors.filter(({ entry }) => entry.role === "value").map(({ of, entry }) => [of, entry]));
  for (const { name, of, entry } of tensors) {
    if (loaded.has(name) || entry.role === "value" || entry.role === "added") continue;
    const elements = new ARRAYS[entry.variable.dtype](entry.variable.length);
    if (entry.role === "average") await values.get(of)!.read(0, elements);
    await entry.write(0, elements);
  }
};

const countersOf = (
  { optimizer: saved, variables }: Description,
  optimizer: AnyOptimizer,
  model: readonly NamedVariable[],
  keepsRate: boolean,
): Counters => {
  const window = windowHere(optimizer);
  const sameWindow = windowOf(saved.config) === window;
  const { learning_rate: rate } = saved.config;
  const accumulating = new Set(sameWindow ? variables.filter((variable) => variable.accumulating).map(({ name }) => name) : []);
  return {
    calls: sameWindow ? saved.calls : saved.iterations * window,
    learningRate: !keepsRate && typeof rate === "number" ? rate : null,
    accumulating: new Set(model.filter(({ name }) => accumulating.has(name)).map(({ variable }) => variable)),
  };
};

/** Micro-batches of an update: in the file, and here. */
const windowOf = ({ gradient_accumulation_steps: steps }: Config): number => (typeof steps === "number" ? steps : 1);
const windowHere = ({ settings }: AnyOptimizer): number => settings.gradientAccumulationSteps ?? 1;

/** Half an update cannot go on with another number of micro-batches. */
const windowDifferences = ({ optimizer: { config, calls } }: Description, optimizer: AnyOptimizer): string[] => {
  const [inFile, here] = [windowOf(config), windowHere(optimizer)];
  if (inFile === here || calls % inFile === 0) return [];
  return [`gradient_accumulation_steps: ${inFile} in the file, saved after ${calls % inFile} of them; ${here} here`];
};

const brokeOff = ({ name }: Source, error: Error): CheckpointError =>
  Object.assign(
    new CheckpointError(
      `Loading ${name} broke off, and left variables and state neither old nor new`,
      error.message,
      "Load again, from this file or another.",
    ),
    { cause: error },
  );
