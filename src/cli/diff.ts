/** `adamax diff`: which variables and settings differ, and by how many ulps. */

import { Adamax } from "../adamax.js";
import { refuseChoice } from "../checkpoint/keras/keras.js";
import { OptionError } from "../errors.js";
import type { Config } from "../optimizer/configuration.js";
import { type Contents, readContents } from "./contents.js";
import { distance } from "./statistics.js";
import type { Print } from "./terminal.js";

interface DiffOptions {
  readonly ulps?: number;
  readonly optimizer?: string;
}

export const diff = async (
  a: string,
  b: string,
  { ulps: allowed = 0, optimizer }: DiffOptions,
  print: Print,
): Promise<number> => {
  // What was converted of a checkpoint with several optimizers holds the chosen one alone.
  const read = (path: string): Promise<Contents> =>
    optimizer === undefined
      ? readContents(path)
      : readContents(path, { optimizer }).catch((error) => {
          if (error instanceof OptionError) return readContents(path);
          throw error;
        });
  const [one, other] = await Promise.all([read(a), read(b)]);
  if (![one, other].some(({ format }) => format === "tensorflow" || format === "saved-model")) refuseChoice(a, optimizer);
  const lines = [...settingLines(one, other), ...arrayLines(one, other, allowed)];
  for (const line of lines) print(line);
  return lines.length > 0 ? 1 : 0;
};

/** A schedule is called anyhow. */
const withoutName = (key: string, value: unknown): unknown => (key === "name" ? undefined : value);

/** Settings that say nothing about the numbers. */
const INDIFFERENT = ["name", "jit_compile", "is_legacy_optimizer"];

const settingLines = (a: Contents, b: Contents): string[] => {
  const lines: string[] = [];
  const compare = (what: string, x: unknown, y: unknown) => {
    const [here, there] = [x, y].map((value) => JSON.stringify(value ?? null, withoutName));
    if (here !== there) lines.push(`${what}: ${here} and ${there}`);
  };
  compare("steps", a.steps, b.steps);
  const [one, other] = [a, b].map(meaningOf);
  if (!one || !other) return lines; // a .weights.h5 file says nothing of them
  compare("optimizer", a.className, b.className);
  // An export of PyTorch or Optax says nothing of what those do not have.
  const exported = [a, b].find(({ format }) => format === "export");
  const keys = Object.keys(exported?.config ?? { ...one, ...other });
  for (const key of keys) if (!INDIFFERENT.includes(key)) compare(key, one[key], other[key]);
  return lines;
};

/** A configuration as this library would write it: that of a legacy optimizer has other keys, and means the same. */
const meaningOf = ({ className, config }: Contents): Config | null => {
  if (className !== "Adamax" || !config) return config;
  try {
    const optimizer = Adamax.fromConfig(config);
    optimizer.dispose();
    return optimizer.getConfig();
  } catch {
    return config; // with what has no counterpart here
  }
};

/** What only one file format notes: tf_keras' state has no learning rate, and the step count is compared as such. */
const NOT_COMPARED = ["iteration", "learning_rate"];

/** State that a .weights.h5 file of Keras numbers, where nothing says what it is: named as the other file's, if that has the same shapes in the same
 *  order. Before it there may be step count and rate. */
const namedLike = ({ arrays: other }: Contents, { arrays, ...contents }: Contents): Contents => {
  const own = arrays.filter(({ of }) => of === "optimizer");
  const named = other.filter(({ of, name }) => of === "optimizer" && !NOT_COMPARED.includes(name));
  const state = own.slice(-named.length);
  const fits =
    named.length > 0 &&
    own.every(({ name }, i) => name === `${i}`) &&
    state.length === named.length &&
    own.length - named.length <= NOT_COMPARED.length &&
    state.every(({ shape }, i) => `${shape}` === `${named[i]!.shape}`);
  if (!fits) return { ...contents, arrays };
  const renamed = state.map((one, i) => ({ ...one, name: named[i]!.name }));
  return { ...contents, arrays: [...arrays.filter(({ of }) => of === "model"), ...renamed] };
};

const arrayLines = (one: Contents, other: Contents, allowed: number): string[] => {
  const [a, b] = [namedLike(other, one), namedLike(one, other)];
  const key = ({ of, name }: Contents["arrays"][number]) => `${of} ${name}`;
  const listed = ({ arrays }: Contents) =>
    new Map(arrays.filter(({ of, name }) => of === "model" || !NOT_COMPARED.includes(name)).map((one) => [key(one), one]));
  const [here, there] = [listed(a), listed(b)];
  const lines: string[] = [];
  for (const [at, one] of here) {
    const other = there.get(at);
    if (!other) lines.push(`${one.name}: only in ${a.path}`);
    else if (`${one.shape}` !== `${other.shape}`) lines.push(`${one.name}: shape [${one.shape}] and [${other.shape}]`);
    else {
      const { elements, ulps } = distance(one.value, other.value);
      if (ulps > allowed) lines.push(`${one.name}: ${elements} of ${one.value.length} elements differ, by up to ${ulps} ulps`);
    }
  }
  for (const [at, { name }] of there) if (!here.has(at)) lines.push(`${name}: only in ${b.path}`);
  return lines;
};
