/** From a file back into variables and an optimizer: everything is compared before anything is touched. */

import type { OnProgress, Ranks, Values } from "../backend.js";
import { CheckpointError, OptionError, show } from "../errors.js";
import type { Config } from "../optimizer/configuration.js";
import { holdWith } from "../optimizer/holding.js";
import { internalsOf, Optimizer } from "../optimizer/optimizer.js";
import { type Counters, setCounters } from "../optimizer/state.js";
import { together } from "../resuming/together.js";
import { ARRAYS } from "../rule/program.js";
import { optionsFrom } from "../spelling.js";
import { Variable } from "../variable.js";
import { isFunctionRate, isNamed, type Names, settingDifferences, tensorDifferences, variableDifferences } from "./compare.js";
import { crc32 } from "./format/crc32.js";
import type { JsonValue } from "./format/json.js";
import { type Header, readHeader, type TensorPlace } from "./format/safetensors.js";
import { namedTensors, readTensors } from "./format/tensors.js";
import {
  type AsNewOptimizer,
  type CommonOptions,
  checkLoadOptions,
  type IntoOptimizer,
  isClass,
  type LoadOptions,
} from "./load-options.js";
import { assertSame, ranksOf } from "./on-ranks.js";
import { selectionsIn } from "./selections.js";
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

/** A file that has been read once, and is as it was written. */
export interface WholeCheckpoint {
  readonly source: Source;
  readonly header: Header;
  readonly description: Description;
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

const makeOptimizer = <T extends AnyOptimizer>(
  { source, description }: WholeCheckpoint,
  { optimizer: Class, options = {}, customObjects, names }: AsNewOptimizer<T>,
  variables: readonly (Variable | Values)[],
): T => {
  const { className, config } = description.optimizer;
  const differences = [
    ...(className === Class.rule.name ? [] : [`class: ${className} in the file, ${Class.rule.name} was asked for`]),
    ...(isFunctionRate(config.learning_rate) && !("learningRate" in options)
      ? [
          "learning_rate: a function in the file, which cannot hold the function itself; none here. Pass options: { learningRate }",
        ]
      : []),
  ];
  refuseDifferences(source, differences);
  try {
    const { groups, excluded } = selectionsIn(description, modelOf({ trained: [] }, variables, names));
    const { groups: _, ...plain } = config; // an older file's, by patterns
    const optimizer = Optimizer.fromConfig.call(Class as never, plain, { groups, ...options }, customObjects) as T;
    optimizer.excludeFromWeightDecay({ variables: excluded });
    return optimizer;
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    throw new CheckpointError(`No optimizer can be made from the configuration in ${source.name}. ${error.message}`);
  }
};

const makeVariables = (
  { source, header, description }: WholeCheckpoint,
  { constraints = {}, onlyInFile = [] }: AsNewOptimizer<AnyOptimizer>,
): Variable[] => {
  const places = new Map(header.tensors.map((tensor) => [tensor.name, tensor]));
  const unknown = Object.keys(constraints).filter((name) => !description.variables.some((variable) => variable.name === name));
  refuseDifferences(
    source,
    unknown.map((name) => `constraint of ${name}: no such variable in the file`),
  );
  return description.variables.flatMap(({ name }) => {
    if (isNamed(onlyInFile, name, `variables/${name}`)) return [];
    const place = places.get(`variables/${name}`);
    if (!place || !(place.dtype === "F32" || place.dtype === "F64"))
      throw new CheckpointError(
        `${source.name} contradicts itself`,
        `variable ${show(name)}, whose tensor is ${place ? place.dtype : "missing"}`,
        "Use another copy.",
      );
    const value = new ARRAYS[place.dtype === "F32" ? "float32" : "float64"](
      (place.end - place.begin) / (place.dtype === "F32" ? 4 : 8),
    );
    const constraint = Object.hasOwn(constraints, name) ? constraints[name] : undefined;
    return [new Variable(value, { shape: place.shape, name, ...(constraint ? { constraint } : {}) })];
  });
};

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

/** A name that names nothing is a slip. */
const unusedNames = (option: string, names: Names, candidates: readonly string[]): string[] =>
  names
    .filter((name) => !isNamed([name], ...candidates))
    .map((name) => `${option}: nothing is called ${show(name instanceof RegExp ? `${name}` : name)}`);

const MOST_LINES = 30;

const refuseDifferences = ({ name }: Source, differences: readonly string[]): void => {
  if (differences.length === 0) return;
  const lines = differences.slice(0, MOST_LINES).map((difference) => `\n- ${difference}`);
  if (differences.length > MOST_LINES) lines.push(`\n- and ${differences.length - MOST_LINES} more`);
  throw new CheckpointError(
    `${name} does not fit, and nothing was loaded:${lines.join("")}\n` +
      'Make variables and optimizer as they were when it was saved. To load a part, name the rest in onlyHere and onlyInFile; to keep other settings, pass settings: "mine".',
  );
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
