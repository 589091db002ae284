/** What the commands do. Each returns the exit code. */

import { access, mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Adamax, type AdamaxOptions } from "../adamax.js";
import { atomicWrite } from "../checkpoint/atomic-write.js";
import { kerasWeights, readKeras, writeKeras } from "../checkpoint/keras.js";
import type { KerasFormat } from "../checkpoint/keras-model.js";
import { loadCheckpoint } from "../checkpoint/load.js";
import { saveCheckpoint } from "../checkpoint/save.js";
import { CheckpointError, show } from "../errors.js";
import type { Optimizer } from "../optimizer.js";
import { optionsFrom } from "../spelling.js";
import type { Variable } from "../variable.js";
import { type Contents, isKeras, readContents } from "./contents.js";
import { distance, statisticsOf } from "./statistics.js";

/** Where lines go. */
export type Print = (line: string) => void;

const FORMATS = {
  checkpoint: "a checkpoint of this library",
  keras: "a .keras file",
  "weights.h5": "a .weights.h5 file",
  h5: "a model in .h5",
  tfjs: "a TensorFlow.js model",
};

export const inspect = async (path: string, { json = false }: { json?: boolean }, print: Print): Promise<number> => {
  const { arrays, ...contents } = await readContents(path);
  const rows = arrays.map(({ name, of, shape, dtype, value }) => ({ name, of, shape, dtype, ...statisticsOf(value) }));
  if (json) {
    print(JSON.stringify({ ...contents, arrays: rows }, null, 2));
    return 0;
  }
  print(`${path}: ${FORMATS[contents.format]}`);
  const { className, steps, config } = contents;
  print(steps === null ? "no optimizer" : `${className ?? "an optimizer"}, ${steps} steps${config ? "" : "; no configuration"}`);
  for (const [key, value] of Object.entries(config ?? {}))
    if (value !== null) print(`  ${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`);
  print("");
  const number = (value: number | null) => (value === null ? "-" : Number(value.toPrecision(6)).toString());
  const lines = rows.map(({ name, shape, dtype, min, max, zeros, nonFinite }) => [
    name,
    `[${shape.join(", ")}]`,
    dtype,
    number(min),
    number(max),
    `${zeros}`,
    `${nonFinite}`,
  ]);
  for (const line of aligned([["array", "shape", "dtype", "min", "max", "zeros", "non-finite"], ...lines])) print(line);
  return 0;
};

/** In columns: text to the left, numbers to the right. */
const aligned = (rows: readonly (readonly string[])[]): string[] => {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
};

/** Settings that say nothing about the numbers. */
const INDIFFERENT = ["name", "jit_compile", "is_legacy_optimizer"];

export const diff = async (a: string, b: string, { ulps: allowed = 0 }: { ulps?: number }, print: Print): Promise<number> => {
  const [one, other] = await Promise.all([readContents(a), readContents(b)]);
  const lines = [...settingLines(one, other), ...arrayLines(one, other, allowed)];
  for (const line of lines) print(line);
  return lines.length > 0 ? 1 : 0;
};

const settingLines = (a: Contents, b: Contents): string[] => {
  const lines: string[] = [];
  const compare = (what: string, x: unknown, y: unknown) => {
    const [here, there] = [x, y].map((value) => JSON.stringify(value ?? null));
    if (here !== there) lines.push(`${what}: ${here} and ${there}`);
  };
  compare("steps", a.steps, b.steps);
  if (!a.config || !b.config) return lines; // a .weights.h5 file says nothing of them
  compare("optimizer", a.className, b.className);
  for (const key of new Set([...Object.keys(a.config), ...Object.keys(b.config)]))
    if (!INDIFFERENT.includes(key)) compare(key, a.config[key], b.config[key]);
  return lines;
};

/** What only one file format notes: tf_keras' state has no learning rate, and the step count is compared as such. */
const NOT_COMPARED = ["iteration", "learning_rate"];

const arrayLines = (a: Contents, b: Contents, allowed: number): string[] => {
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

interface ConvertOptions {
  readonly force?: boolean;
  readonly into?: string;
  readonly options?: string;
}

export const convert = async (
  from: string,
  to: string,
  { force = false, into, options }: ConvertOptions,
  complain: Print,
): Promise<number> => {
  const format = formatOf(to);
  const exists = await access(to).then(
    () => true,
    () => false,
  );
  if (exists && !force)
    throw new CheckpointError(`${to} is there already`, "no --force", "Give --force to replace it, or another name.");
  const given =
    options === undefined ? undefined : (optionsFrom(JSON.parse(options) as Record<string, unknown>) as AdamaxOptions);
  const source = (await isKeras(from)) ? await readKeras(from) : null;
  const load = async (): Promise<{ optimizer: Optimizer<never>; variables: Variable[] }> => {
    if (source) return source.restore(given && source.format === "weights.h5" ? new Adamax(given) : (given ?? {}));
    const { optimizer, variables } = await loadCheckpoint(from, { optimizer: Adamax, ...(given ? { options: given } : {}) });
    return { optimizer, variables: [...variables.values()] };
  };
  await mkdir(dirname(to), { recursive: true });
  if (format === "checkpoint") {
    await saveCheckpoint(to, { ...(await load()), onProgress: progress(complain) });
    return 0;
  }
  if (into !== undefined) await write(to, await writeKeras((await readKeras(into)).with(await load()), format));
  else if (source && (source.format === format || (source.format === "keras" && format === "weights.h5")))
    await write(to, await writeKeras(source, format));
  else if (format === "weights.h5" && !source) await write(to, await writeKeras(kerasWeights(await load()), format));
  else
    throw new CheckpointError(
      `${to} needs a model's architecture, which we do not write`,
      show(from),
      "Give a file of that format to take it from: --into FILE.",
    );
  return 0;
};

const formatOf = (path: string): "checkpoint" | KerasFormat => {
  if (path.endsWith(".safetensors")) return "checkpoint";
  for (const format of ["weights.h5", "keras", "h5"] as const) if (path.endsWith(`.${format}`)) return format;
  if (path.endsWith(".json")) return "tfjs";
  throw new CheckpointError(
    "The format is told by the end of the name",
    show(basename(path)),
    "Name it .safetensors, .keras, .weights.h5, .h5 or .json.",
  );
};

const write = async (to: string, written: Uint8Array | ReadonlyMap<string, Uint8Array>): Promise<void> => {
  const pieces = async function* (bytes: Uint8Array) {
    yield bytes;
  };
  if (written instanceof Uint8Array) return atomicWrite(to, pieces(written));
  // The file that names the others comes last, so that it never names one that is not there.
  for (const [name, bytes] of [...written].reverse())
    await atomicWrite(name === "model.json" ? to : join(dirname(to), name), pieces(bytes));
};

/** On a terminal, for files that take a while. */
const progress = (complain: Print): ((state: { readonly bytes: number; readonly total: number }) => void) => {
  let next = performance.now() + 1000;
  return ({ bytes, total }) => {
    if (!process.stderr.isTTY || performance.now() < next) return;
    next = performance.now() + 1000;
    complain(`${Math.round((100 * bytes) / total)} %`);
  };
};
