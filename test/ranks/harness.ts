/** As much of vitest as the semantics suite uses, so that it can run in a worker thread: on each rank, the same tests in the same order. */

import { JestAsymmetricMatchers, JestChaiExpect, JestExtend } from "@vitest/expect";
import { fn, restoreAllMocks, spyOn } from "@vitest/spy";
import * as chai from "chai";

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);
export const { expect } = chai;

type Body = (...values: never[]) => unknown;
interface Group {
  readonly name: string;
  readonly before: Body[];
  readonly after: Body[];
}
const groups: Group[] = [{ name: "", before: [], after: [] }];
const tests: { readonly name: string; readonly groups: readonly Group[]; readonly body: Body }[] = [];
let finished: Body[] = [];
const last: Body[] = [];

const named = (name: string, values: readonly unknown[], i: number): string =>
  `${name} #${i} ${values.map((value) => (typeof value === "object" || typeof value === "function" ? typeof value : String(value))).join(", ")}`;
const each =
  (register: (name: string, body: Body) => void) =>
  (cases: readonly unknown[]) =>
  (name: string, body: Body): void =>
    cases.forEach((one, i) => {
      const values = (Array.isArray(one) ? one : [one]) as never[];
      register(named(name, values, i), () => body(...values));
    });

const addTest = (name: string, body: Body): void => {
  tests.push({ name: [...groups.map((group) => group.name), name].filter(Boolean).join(" > "), groups: [...groups], body });
};
const addGroup = (name: string, body: Body): void => {
  groups.push({ name, before: [], after: [] });
  body();
  groups.pop();
};

export const test = Object.assign(addTest, { each: each(addTest) });
export const describe = Object.assign(addGroup, { each: each(addGroup) });
/** Once: before the first test of the group. */
export const beforeAll = (body: Body): void => {
  let begun: unknown;
  beforeEach(() => (begun ??= Promise.resolve(body())));
};
/** Once: after all tests of all groups. */
export const afterAll = (body: Body): void => void last.push(body);
export const beforeEach = (body: Body): void => void groups.at(-1)!.before.push(body);
export const afterEach = (body: Body): void => void groups.at(-1)!.after.push(body);
export const onTestFinished = (body: Body): void => void finished.push(body);

const stubbed = new Map<string, unknown>();
export const vi = {
  fn,
  spyOn,
  restoreAllMocks,
  setConfig: () => {},
  stubGlobal: (name: string, value: unknown) => {
    if (!stubbed.has(name)) stubbed.set(name, (globalThis as Record<string, unknown>)[name]);
    (globalThis as Record<string, unknown>)[name] = value;
  },
  unstubAllGlobals: () => {
    for (const [name, value] of stubbed) (globalThis as Record<string, unknown>)[name] = value;
    stubbed.clear();
  },
};

/** Runs what was registered. `except`: names of tests that are about one machine. */
export const run = async (except: readonly RegExp[]): Promise<{ passed: number; failed: string[]; left: string[] }> => {
  const outcome = { passed: 0, failed: [] as string[], left: [] as string[] };
  for (const { name, groups: around, body } of tests) {
    if (except.some((pattern) => pattern.test(name))) {
      outcome.left.push(name);
      continue;
    }
    finished = [];
    try {
      for (const { before } of around) for (const one of before) await one();
      await body();
      outcome.passed++;
    } catch (error) {
      outcome.failed.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      for (const one of finished.reverse()) await one();
      for (const { after } of around) for (const one of after) await one();
    }
  }
  for (const one of last) await one();
  return outcome;
};
