/** What the semantics tests share. */

import {
  Adamax,
  type AdamaxOptions,
  type DType,
  type GradientAndVariable,
  type Optimizer,
  type SavedState,
  type StateOrder,
  type StateVariable,
  type Values,
  Variable,
} from "adamax";
import { afterAll, expect, onTestFinished, test, vi } from "vitest";

/** Whether "adamax" is here the one of test/far or of test/webgpu: then memory is in another thread, or on a device. */
export const isFar = new Adamax().backend.near !== true;
/** Whether it is the one of test/webgpu. There is no float64 then, and numbers below 2^-126 may count as zero. */
export const isDevice = new Adamax().backend.name === "webgpu";

/** float64 where there is such a thing, else float32: for tests that want two dtypes, whichever they are. */
export const WIDE = isDevice ? "float32" : "float64";
export const Wide = (isDevice ? Float32Array : Float64Array) as Float64ArrayConstructor;
/** What variables may be made of here. */
export const DTYPES: readonly DType[] = isDevice ? ["float32"] : ["float32", "float64"];

/** A test of what only near memory has: views, arrays updated where they lie, constraints, and the two backends beside each other. Where memory is
 *  far it is not run, and its name is printed. */
type NamedTest = Pick<typeof test, "each"> & ((name: string, run: () => unknown) => void);
const unless = (isMissing: boolean): NamedTest =>
  isMissing
    ? Object.assign(notHere, {
        each: ((cases: readonly unknown[]) => (name: string) => notHere(`${name} (${cases.length} of them)`)) as never,
      })
    : test;
const missing: string[] = [];
function notHere(name: string): void {
  if (missing.push(name) === 1) afterAll(() => console.log(`not for what runs here:\n- ${missing.join("\n- ")}`));
}
export const nearTest = unless(isFar);
/** Likewise of what only float64 has. */
export const wideTest = unless(isDevice);

export const f32 = (...values: number[]) => Float32Array.from(values);

/** A float32 variable with these values. */
export const variable = (values: readonly number[], name = "w") => new Variable(Float32Array.from(values), { name });

/** Gradients of five steps for a variable of four elements. They shrink, change their sign and stop: growing ones hide beta2 and epsilon. */
export const GRADIENTS = [
  [3, -2, 0.5, 1e-3],
  [1, 1, -0.25, 1e-4],
  [-0.5, 0.5, 0.1, 0],
  [0.1, -0.2, 0, 1e-6],
  [0, 0.01, 0.001, -1e-7],
].map((values) => Float32Array.from(values));

/** The values of one variable after each of five steps. */
export const fiveSteps = (options: AdamaxOptions = {}): Promise<number[][]> => {
  using optimizer = new Adamax(options);
  const w = variable([1, -1, 0.5, 2]);
  return Promise.all(
    GRADIENTS.map((gradient) => {
      optimizer.applyGradients([[gradient, w]]);
      return read(w);
    }),
  );
};

/** What `act` gives for each, one after the other. */
export const inTurn = async <One, Result>(
  list: Iterable<One>,
  act: (one: One, place: number) => Result | Promise<Result>,
): Promise<Result[]> => {
  const results: Result[] = [];
  for (const one of list) results.push(await act(one, results.length));
  return results;
};

/** The same, a few at a time: what is far takes its time to answer. */
export const sideBySide = async <One, Result>(list: readonly One[], act: (one: One) => Promise<Result>): Promise<Result[]> => {
  const results: Result[] = [];
  for (let begin = 0; begin < list.length; begin += 16)
    results.push(...(await Promise.all(list.slice(begin, begin + 16).map((one) => act(one)))));
  return results;
};

/** The elements now. */
export const read = async (variable: Variable): Promise<number[]> => [...(await variable.read())];

/** The optimizer's state, to be looked at. */
export const variablesOf = async (optimizer: Optimizer): Promise<StateVariable[]> => {
  await optimizer.download();
  return optimizer.variables;
};

/** The elements of the optimizer's state. */
export const stateOf = async (optimizer: Optimizer): Promise<(number | bigint)[][]> =>
  (await variablesOf(optimizer)).map(({ value }) => [...value]);

/** One of the optimizer's state arrays, by its slot and the name of its variable; near by, or downloaded. */
export const stateNow = (optimizer: Optimizer, slot: string, name = "w"): Values => {
  const found = optimizer.variables.find((array) => array.name === `${optimizer.settings.name}/${slot}/${name}`);
  if (!found) throw new Error(`no state ${slot} of ${name}: ${optimizer.variables.map((array) => array.name)}`);
  return found.value as Values;
};
export const state = async (optimizer: Optimizer, slot: string, name?: string): Promise<Values> => {
  await optimizer.download();
  return stateNow(optimizer, slot, name);
};

/** What saveOwnVariables saves now. */
export const save = async (optimizer: Optimizer, order?: StateOrder, store?: SavedState): Promise<SavedState> => {
  await optimizer.download();
  return optimizer.saveOwnVariables(store, order);
};

/** Makes one step with these pairs, at once, and gives the values of the variables after it. */
export const step = (optimizer: Optimizer, ...pairs: GradientAndVariable[]): Promise<number[][]> => {
  optimizer.applyGradients(pairs);
  return Promise.all(pairs.map(([, one]) => (one instanceof Variable ? read(one) : [...one])));
};

/** Where two arrays differ first, in words; null when they hold the same bits, NaNs being in the same places. */
export const difference = (actual: Values, expected: Values): string | null => {
  if (actual.length !== expected.length) return `length ${actual.length} is not ${expected.length}`;
  for (let i = 0; i < actual.length; i++)
    if (!Object.is(actual[i], expected[i])) return `element ${i} of ${actual.length}: ${actual[i]} is not ${expected[i]}`;
  return null;
};

export const expectSameBits = (actual: Values, expected: Values, what = "") => {
  const differs = difference(actual, expected);
  expect(differs && `${what} ${differs}`).toBeNull();
};

/** Collects warnings instead of printing them. */
export const warnings = (): string[] => {
  const list: string[] = [];
  const spy = vi.spyOn(console, "warn").mockImplementation((text: string) => void list.push(text));
  onTestFinished(() => spy.mockRestore());
  return list;
};

/** Until the test ends, `new WebAssembly[name]` gives what `make` gives. Returns what ends it earlier. */
export const replaceWebAssembly = (name: "Memory" | "Module" | "Instance", make: (...given: never[]) => object): (() => void) => {
  function construct(...given: never[]) {
    return make(...given);
  }
  const spy = vi.spyOn(WebAssembly, name as "Module").mockImplementation(construct as never);
  onTestFinished(() => spy.mockRestore());
  return () => spy.mockRestore();
};

/** What a function throws. */
export const thrown = (act: () => unknown): Error => {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  throw new Error("Nothing was thrown.");
};

/** What a promise is rejected with. */
export const rejected = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => {
      throw new Error("Nothing was rejected.");
    },
    (error) => error,
  );
/** What went wrong, what arrived, and what to do: three parts of a message, in this order. */
export type Parts = [wrong: string, arrived: string, advice: string];

/** That `act` throws an error of this kind, which has these parts. */
export const expectError = (act: () => unknown, kind: new (message: string) => Error, [wrong, arrived, advice]: Parts) => {
  const error = thrown(act);
  expect(error).toBeInstanceOf(kind);
  const places = [wrong, `Received: ${arrived}`, advice].map((part) => error.message.indexOf(part));
  expect([error.message, places.every((place) => place >= 0), places]).toEqual([
    error.message,
    true,
    places.toSorted((a, b) => a - b),
  ]);
};

/** Reproducible numbers (mulberry32), uniform in [0, 1). */
export const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
