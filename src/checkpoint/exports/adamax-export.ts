/** The state of PyTorch's and Optax's Adamax, as docs/other-adamax.md exports it, in a safetensors or .npz file.
 *
 *  There, epsilon stands inside the maximum: v = max(beta2 * v, |g| + epsilon), and steps divide by v. Here it stands outside:
 *  u = max(beta2 * u, |g|), and steps divide by u + epsilon. So v becomes u = v - epsilon, and the next step divides by what it would have. */

import { Adamax, type AdamaxOptions, adamax } from "../../adamax.js";
import type { Values } from "../../backend.js";
import { CheckpointError, OptionError, show } from "../../errors.js";
import { isPlain } from "../../kinds.js";
import type { Config } from "../../optimizer/configuration.js";
import { internalsOf, Optimizer } from "../../optimizer/optimizer.js";
import { namedEntries } from "../../optimizer/state.js";
import { optionsFrom } from "../../spelling.js";
import { Variable } from "../../variable.js";
import { readHeader, typeNameOf } from "../format/safetensors.js";
import { decodeNumbers, isFloating, isTypeName, type Numbers, type StoredArray } from "../keras/arrays.js";
import type { KerasVariable } from "../keras/layers.js";
import type { Restored } from "../keras/model.js";
import { type CheckpointSource, openSource, type Source } from "../storage/source.js";
import { isArchive, readNpz } from "./npz.js";
import { type ExportSettings, LIBRARIES, type Library, parseSettings } from "./settings.js";

/** Reads what the functions of docs/other-adamax.md exported. The format is told from the bytes; .npz needs the package fflate.
 *  @throws CheckpointError for what is no such file, is damaged, or contradicts itself. */
export const readAdamaxExport = async (given: CheckpointSource): Promise<AdamaxExport> => {
  const source = await openSource(given);
  try {
    const start = await source.read(0, Math.min(4, source.size));
    return new AdamaxExport(source.name, isArchive(start) ? await fromNpz(source) : await fromSafetensors(source));
  } finally {
    await source.close();
  }
};

/** Named arrays, and what the export says about the optimizer. */
interface Exported {
  readonly arrays: readonly StoredArray[];
  readonly optimizer: string;
}

/** The name of the array (.npz) or of the metadata (safetensors) that says what the optimizer is, as JSON. */
const OPTIMIZER = "optimizer";

const fromNpz = async (source: Source): Promise<Exported> => {
  const all = await readNpz(await source.read(0, source.size), source.name);
  const text = all.find(({ name }) => name === OPTIMIZER)?.value;
  if (!(text instanceof Uint8Array)) throw noExport(source.name, `no array ${show(OPTIMIZER)} of uint8`);
  return { arrays: all.filter(({ name }) => name !== OPTIMIZER), optimizer: new TextDecoder().decode(text) };
};

const fromSafetensors = async (source: Source): Promise<Exported> => {
  const { tensors, metadata } = await readHeader(source);
  const optimizer = metadata.get(OPTIMIZER) ?? "";
  if (optimizer === "") throw noExport(source.name, `no metadata ${show(OPTIMIZER)}`);
  const arrays: StoredArray[] = [];
  for (const { name, dtype, shape, begin, end } of tensors) {
    const type = typeNameOf(dtype);
    if (!isTypeName(type))
      throw new CheckpointError(`${source.name} has numbers that we do not read`, `${name} of ${dtype}`, "Save it as float32.");
    arrays.push({ name, shape, dtype: type, value: decodeNumbers(type, await source.read(begin, end)) });
  }
  return { arrays, optimizer };
};

const noExport = (what: string, received: string): CheckpointError =>
  new CheckpointError(`${what} is no export of an Adamax`, received, "Write it with the functions of docs/other-adamax.md.");

/** The Adamax of PyTorch or Optax, with the variables that it trains. */
export class AdamaxExport {
  /** "torch.optim.Adamax", "optax.adamax" or "optax.adamaxw". */
  readonly className: string;
  /** Under our names. epsilon is the one inside the maximum. */
  readonly settings: ExportSettings;
  /** Steps made. */
  readonly steps: number;
  /** All parameters, in the order of the file; `trainable` are those with state. */
  readonly variables: readonly KerasVariable[];
  /** momentum/NAME (m) and norm/NAME (v, with epsilon inside), as they were saved. */
  readonly state: readonly StoredArray[];
  readonly #what: string;

  /** @internal */
  constructor(what: string, { arrays, optimizer }: Exported) {
    this.#what = what;
    const { className, settings } = parseSettings(optimizer, what);
    const library = LIBRARIES[className];
    const byName = new Map(arrays.map((array) => [array.name, array]));
    this.className = className;
    this.settings = settings;
    this.variables = arrays
      .filter(({ name }) => name.startsWith(WEIGHT))
      .map((array) => {
        const name = array.name.slice(WEIGHT.length);
        return { ...array, name, trainable: byName.has(`${library.momentum}/${name}`) };
      });
    const trained = this.variables.filter(({ trainable }) => trainable);
    if (trained.length === 0)
      throw new CheckpointError(`${what} has no state of ${className}`, namesOf(arrays), "Make a step before you export.");
    this.state = trained.flatMap((variable) => [
      stateOf(byName, library.momentum, "momentum", variable, what),
      checkedNorm(stateOf(byName, library.norm, "norm", variable, what), what),
    ]);
    this.steps = stepsOf(byName, library, trained, what);
    this.#refuseUnknown(arrays, library);
  }

  #refuseUnknown(arrays: readonly StoredArray[], library: Library): void {
    const known = new Set(this.variables.map(({ name }) => name));
    const kinds = ["param", library.momentum, library.norm, ...(library.stepPerVariable ? [library.step] : [])];
    const unknown = arrays.find(({ name }) => {
      if (!library.stepPerVariable && name === library.step) return false;
      const [kind] = name.split("/", 1) as [string];
      return !kinds.includes(kind) || !known.has(name.slice(kind.length + 1));
    });
    if (unknown)
      throw new CheckpointError(
        `${this.#what} has an array that is no part of ${this.className}`,
        show(unknown.name),
        `Save ${kinds.map((kind) => `${kind}/NAME`).join(", ")} of the same names.`,
      );
  }

  /** An optimizer with its variables, ready to go on. `given` are options that win over the file's, or an optimizer without variables that
   *  takes the state. An Adamax gets the norm less the export's epsilon, since it adds its own; an optimizer of another rule (with slots
   *  momentum and norm: one that has epsilon inside the maximum, too) gets it as it was saved.
   *  @throws CheckpointError for what cannot be carried over, OptionError for options given here. */
  restore(given: Optimizer<never> | AdamaxOptions = {}): Restored {
    const optimizer = given instanceof Optimizer ? given : new Adamax(this.#optionsWith(given));
    const { rule } = optimizer.constructor as typeof Optimizer;
    if ([...rule.slots].sort().join() !== "momentum,norm")
      throw new CheckpointError(
        "The state of an Adamax needs an optimizer that keeps momentum and norm",
        `${rule.name}, which keeps ${rule.slots.join(", ") || "nothing"}`,
        "Give an Adamax, or an optimizer whose rule has epsilon inside the maximum.",
      );
    const variables = new Map(
      this.variables.flatMap(({ name, shape, value }) =>
        isFloating(value) ? [[name, new Variable(value.slice(), { name, shape })] as const] : [],
      ),
    );
    optimizer.build(this.variables.filter(({ trainable }) => trainable).map(({ name }) => variables.get(name)!));
    this.#load(optimizer, rule === adamax ? this.settings.epsilon : 0);
    return { optimizer, variables: [...variables.values()] };
  }

  #optionsWith(asked: AdamaxOptions): AdamaxOptions {
    if (!isPlain(asked))
      throw new OptionError("restore takes an optimizer, or options", show(asked), "Leave it out to use the file's own.");
    const given = optionsFrom(asked as Config); // for what is undefined, the file's
    const { learningRate, beta1, beta2, epsilon, weightDecay, problems } = this.settings;
    const missing = problems.filter(({ option }) => option === null || !(option in given));
    if (missing.length > 0)
      throw new CheckpointError(
        `The ${this.className} of ${this.#what} cannot be carried over as it is`,
        missing.map(({ what }) => what).join("; "),
        missing.map(({ remedy }) => remedy).join(" "),
      );
    return {
      ...(learningRate === null ? {} : { learningRate }),
      ...(weightDecay === null ? {} : { weightDecay }),
      beta1,
      beta2,
      epsilon,
      ...given,
    };
  }

  /** `outside`: the epsilon that the rule adds by itself. Averages have begun with the values. */
  #load(optimizer: Optimizer<never>, outside: number): void {
    const { state, restore } = internalsOf(optimizer);
    const entries = namedEntries(state);
    const arrays = this.state.map(({ name, value }) => {
      const values = value as Values;
      const isNorm = name.startsWith("norm/");
      return [entries.get(name)!, isNorm ? values.map((v) => Math.max(v - outside, 0)) : values] as const; // a NaN stays one
    });
    restore({
      calls: this.steps * (optimizer.settings.gradientAccumulationSteps ?? 1),
      learningRate: null,
      accumulating: new Set(),
      arrays: new Map(arrays),
    });
  }
}

const WEIGHT = "param/";

const namesOf = (arrays: readonly StoredArray[]): string => {
  const names = arrays.map(({ name }) => name);
  return names.slice(0, 8).join(", ") + (names.length > 8 ? ", ..." : "") || "no arrays";
};

/** The array `kind`/NAME of a variable, under our name for it. */
const stateOf = (
  arrays: ReadonlyMap<string, StoredArray>,
  kind: string,
  ours: string,
  { name, shape, value }: KerasVariable,
  what: string,
): StoredArray => {
  const array = arrays.get(`${kind}/${name}`);
  const refuse = (received: string): never => {
    throw new CheckpointError(
      `${what}: the state ${show(`${kind}/${name}`)} must be floating-point numbers of shape [${shape}], as its parameter`,
      received,
      "Export parameters and state at the same moment, with the functions of docs/other-adamax.md.",
    );
  };
  if (!isFloating(value)) refuse(`a parameter of ${show(value)}`);
  if (!array) return refuse("none");
  if (!isFloating(array.value) || `${array.shape}` !== `${shape}`) refuse(`${array.dtype} of shape [${array.shape}]`);
  return { ...array, name: `${ours}/${name}` };
};

/** A maximum of magnitudes: nothing in it is negative, and steps rely on that. */
const checkedNorm = (array: StoredArray, what: string): StoredArray => {
  const negative = (array.value as Float32Array).find((value) => value < 0 || Object.is(value, -0));
  if (negative === undefined) return array;
  throw new CheckpointError(`${what}: ${array.name} must be 0 or more`, show(negative), "The file is damaged; export it again.");
};

const stepsOf = (
  arrays: ReadonlyMap<string, StoredArray>,
  { step, stepPerVariable }: Library,
  trained: readonly KerasVariable[],
  what: string,
): number => {
  const counted = (stepPerVariable ? trained.map(({ name }) => `${step}/${name}`) : [step]).map((name) => {
    const value: Numbers | undefined = arrays.get(name)?.value;
    const count = Number(value?.[0]);
    if (value?.length === 1 && Number.isSafeInteger(count) && count >= 0) return { name, count };
    throw new CheckpointError(
      `${what}: ${show(name)} must be a number of steps`,
      value ? `${value.length} elements, ${show(value[0])}` : "none",
      "Export it with the functions of docs/other-adamax.md.",
    );
  });
  const [first] = counted;
  const other = counted.find(({ count }) => count !== first!.count);
  if (other)
    throw new CheckpointError(
      "Here, all variables have made the same number of steps",
      `${first!.count} in ${first!.name}, ${other.count} in ${other.name}`,
      "In PyTorch, parameters without a gradient make no step: give them gradients of zero, or leave them out of the export.",
    );
  return first!.count;
};
