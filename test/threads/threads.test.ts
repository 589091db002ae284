/** Threads of the wasm backend in Node. Workers run the built package (npm test builds it first). */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import fc from "fast-check";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { Adamax, BackendError, IndexedSlices, Variable, WasmBackend } from "../../dist/index.js";
import { anyOptions } from "../semantics/models.js";

const SIZES = [1_000_001, 4096, 5, 70_000]; // one to share, whole blocks, tiny, with a tail

const noise = (length: number, seed: number): Float32Array => {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
};

/** Different gradients for step after step. */
const GRADIENTS = [1, 2, 3].map((step) => SIZES.map((length, i) => noise(length, 100 * step + i)));

const digest = (arrays: readonly { value: ArrayBufferView }[]): string => {
  const hash = createHash("sha256");
  for (const { value } of arrays) hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength).slice());
  return hash.digest("hex");
};

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Until when a test waits for workers. */
const patience = () => performance.now() + 40_000;

/** Steps until `isOver`, in rows of 50 ms: a step alone is shorter than a slice of a scheduler's time. A machine whose cores are busy would give it the
 *  core that a worker waits for, again and again. */
const stepUntil = async (isOver: () => boolean, step: () => void) => {
  for (const end = patience(); !isOver() && performance.now() < end; ) {
    await sleep(10);
    for (const row = performance.now() + 50; !isOver() && performance.now() < row; ) step();
  }
};
const untilShared = async (backend: WasmBackend, step: () => void) => {
  await stepUntil(() => backend.sharedPasses > 0, step);
  expect(backend.sharedPasses).toBeGreaterThan(0);
};

/** Where the arrays of a training lie. */
interface Places {
  /** Gradients in arrays of the caller's, or only some of their rows. Default: in the backend's memory. */
  readonly gradients?: "own" | "foreign" | "sparse";
  /** Whether the backend adopts the variables. Default: yes. */
  readonly adopt?: boolean;
  /** Whether a NaN with its sign set is written into every slot after three steps, through a view of it. */
  readonly poisoned?: boolean;
  /** Default: float32. */
  readonly dtype?: "float64";
}

const NEGATIVE_NAN = {
  float32: new Float32Array(Uint32Array.of(0xffc00000).buffer),
  float64: new Float64Array(BigUint64Array.of(0xfff8000000000000n).buffer),
};

const trainingOf = (backend: WasmBackend, options: object, { gradients = "own", adopt = true, poisoned, dtype }: Places = {}) => {
  const inDtype = (values: Float32Array) => (dtype ? Float64Array.from(values) : values);
  const variables = SIZES.map(
    (length, i) => new Variable(inDtype(noise(length, i + 1)), { shape: [length], name: `v${i}`, adopt }),
  );
  const optimizer = new Adamax({ backend, ...options });
  let step = 0;
  const gradientOf = (values: Float32Array, variable: Variable) => {
    if (gradients === "foreign") return values;
    if (gradients === "sparse") return new IndexedSlices(values.subarray(0, variable.length >> 1), everyOther(variable.length));
    variable.gradient.set(values);
    return variable.gradient;
  };
  return {
    optimizer,
    variables,
    step() {
      if (poisoned && step === 3)
        for (const { dtype, value } of optimizer.variables.slice(1))
          (value as Float32Array).set(NEGATIVE_NAN[dtype as "float32"], value.length >> 1);
      const values = GRADIENTS[step++ % GRADIENTS.length]!;
      optimizer.applyGradients(variables.map((variable, i) => [gradientOf(values[i]!, variable), variable]));
    },
  };
};

/** Half of the rows, the later ones first. */
const everyOther = (length: number): Int32Array => Int32Array.from({ length: length >> 1 }, (_, i) => length - 1 - 2 * i);

afterEach(() => {
  vi.restoreAllMocks();
});

describe("the bits do not depend on the number of threads", () => {
  test.each<[string, object, Places?]>([
    ["plain", {}],
    ["norms of each variable", { clipnorm: 0.5 }],
    ["a norm of all, decay, average", { globalClipnorm: 1, weightDecay: 0.01, useEma: true, emaOverwriteFrequency: 3 }],
    ["accumulation", { gradientAccumulationSteps: 2, clipvalue: 0.5 }],
    ["foreign gradients", {}, { gradients: "foreign" }],
    ["foreign variables", { useEma: true }, { adopt: false }],
    ["foreign variables and gradients, norms", { clipnorm: 0.5 }, { gradients: "foreign", adopt: false }],
    ["listed rows, a norm of all", { globalClipnorm: 1 }, { gradients: "sparse" }],
    ["a NaN with its sign set, written through views of the state", {}, { poisoned: true }],
    ["a NaN with its sign set, written through views of the state of float64", {}, { poisoned: true, dtype: "float64" }],
  ])(
    "%s",
    async (_, options, places) => {
      const results: string[] = [];
      for (const threads of [1, 2, 3, 4, 7]) results.push(...(await digestsOf(threads, options, places)));
      expect(new Set(results).size).toBe(1);
    },
    120_000,
  );

  test("any options, wherever the arrays lie", async () => {
    const places = fc.record({ gradients: fc.constantFrom("own", "foreign", "sparse"), adopt: fc.boolean() });
    const property = async (options: object, places: Places, threads: number) => {
      const results = [...(await digestsOf(1, options, places)), ...(await digestsOf(threads, options, places))];
      expect(new Set(results).size).toBe(1);
    };
    await fc.assert(fc.asyncProperty(anyOptions, places, fc.constantFrom(2, 3, 4, 7), property), {
      numRuns: 6,
      endOnFailure: true,
    });
  }, 240_000);
});

/** What six steps with so many threads come to. More than once where the steps were made more than once. */
const digestsOf = async (threads: number, options: object, places?: Places): Promise<string[]> => {
  const results: string[] = [];
  const backend = new WasmBackend({ threads });
  // Workers start while a throw-away training runs; then the measured one is shared from its first steps on.
  if (threads > 1) {
    const warmup = trainingOf(backend, options, places);
    await untilShared(backend, () => warmup.step());
  }
  // Newly compiled steps reach the workers between steps: on a busy machine that takes longer pauses.
  const before = backend.sharedPasses;
  for (let pause = 10; pause < 5000; pause *= 4) {
    const training = trainingOf(backend, options, places);
    for (let step = 0; step < 6; step++) {
      training.step();
      if (threads > 1) await sleep(pause);
    }
    results.push(digest([...training.variables, ...training.optimizer.variables]));
    training.optimizer.dispose();
    if (threads === 1 || backend.sharedPasses > before) break;
  }
  if (threads > 1) expect(backend.sharedPasses).toBeGreaterThan(before);
  backend.dispose();
  return results;
};

test("a worker that cannot start leaves a usable optimizer, and that is said once", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const backend = new WasmBackend({ threads: 3, workerUrl: new URL("file:///no/such/worker.js") });
  const training = trainingOf(backend, {});
  training.step();
  for (const end = patience(); backend.threads > 1 && performance.now() < end; ) await sleep(10);
  training.step();
  expect(training.optimizer.iterations).toBe(2);
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn.mock.calls[0]![0]).toMatch(/worker thread was lost/);
  expect(backend.why).toMatch(/one thread of 3: workers were lost \(/);
  expect([backend.threads, training.optimizer.backend.threads]).toEqual([1, 1]);
  expect(backend.sharedPasses).toBe(0);
  // None is started again: that would fail again, with every model.
  trainingOf(backend, {}).step();
  await sleep(300);
  expect([backend.threads, warn.mock.calls.length]).toEqual([1, 1]);
});

test("of three threads, two are left when a worker is lost between steps", async () => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  const backend = new WasmBackend({ threads: 3, workerUrl: new URL("./ending-worker.mjs", import.meta.url) });
  const training = trainingOf(backend, {});
  training.step();
  expect(backend.threads).toBe(3);
  for (const end = patience(); backend.threads === 3 && performance.now() < end; ) await sleep(10);
  training.step();
  expect(backend.threads).toBe(2);
  expect(backend.why).toMatch(/2 threads of 3: workers were lost \(it ended with code 3\)/);
  backend.dispose();
});

describe("why there is one thread", () => {
  const whyWith = (globals: object): string => {
    try {
      for (const [name, value] of Object.entries({ process: undefined, Worker: class {}, ...globals }))
        vi.stubGlobal(name, value);
      return new WasmBackend({ threads: 2 }).why;
    } finally {
      vi.unstubAllGlobals();
    }
  };

  test.each([
    ["a page without the headers", { crossOriginIsolated: false }, /one thread: the page is not cross-origin isolated \(headers/],
    [
      "a page without the headers, where SharedArrayBuffer is missing for that",
      { crossOriginIsolated: false, SharedArrayBuffer: undefined },
      /one thread: the page is not cross-origin isolated \(headers/,
    ],
    [
      "a page with the headers in a browser without SharedArrayBuffer, as WebKitGTK",
      { crossOriginIsolated: true, SharedArrayBuffer: undefined },
      /one thread: there is no SharedArrayBuffer here/,
    ],
    ["no workers", { crossOriginIsolated: true, Worker: undefined }, /one thread: there are no workers here/],
  ])("%s", (_, globals, expected) => {
    expect(whyWith(globals)).toMatch(expected);
  });
});

test("a worker that dies during a step is noticed within 2 s; the state is refused until it is loaded again", async () => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  const backend = new WasmBackend({ threads: 2, workerUrl: new URL("./faulty-worker.mjs", import.meta.url) });
  const training = trainingOf(backend, {});
  const { optimizer } = training;
  training.step();
  const saved = optimizer.saveOwnVariables();
  let error: unknown;
  let milliseconds = 0;
  await stepUntil(
    () => error !== undefined,
    () => {
      const begin = performance.now();
      try {
        training.step();
      } catch (thrown) {
        error = thrown;
        milliseconds = performance.now() - begin;
      }
    },
  );
  expect(error).toBeInstanceOf(BackendError);
  expect(backend.threads).toBe(1);
  expect(backend.why).toMatch(/one thread of 2: a worker died in the middle of a step/);
  expect(String(error)).toMatch(/died in the middle of a step/);
  expect(milliseconds).toBeLessThan(10_000); // 2 s of patience, and what a machine adds whose cores are busy
  expect(() => training.step()).toThrow(/Load both/);
  expect(() => optimizer.saveOwnVariables()).toThrow(/Load both/);
  // Both are loaded again: the next step is the one that an undisturbed training makes, and is made once.
  const values = training.variables.map((_, i) => noise(SIZES[i]!, i + 1));
  for (const [i, variable] of training.variables.entries()) variable.value.set(values[i]!);
  optimizer.loadOwnVariables(saved);
  const reference = trainingOf(new WasmBackend({ threads: 1 }), {});
  reference.optimizer.build(reference.variables);
  reference.optimizer.loadOwnVariables(saved);
  for (const { variables, optimizer } of [training, reference]) {
    for (const [i, variable] of variables.entries()) variable.gradient.set(GRADIENTS[0]![i]!);
    optimizer.applyGradients(variables.map((variable) => [variable.gradient, variable]));
  }
  expect(digest([...training.variables, ...optimizer.variables])).toBe(
    digest([...reference.variables, ...reference.optimizer.variables]),
  );
});

const inProcess = (code: string) => {
  const dist = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "adamax-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const program = join(folder, "program.mjs");
  writeFileSync(program, code.replace("adamax", pathToFileURL(dist).href));
  const run = "deno" in process.versions ? ["run", "-A"] : [];
  return spawnSync(process.execPath, [...run, program], { timeout: 20_000, encoding: "utf8" });
};
const TRAIN = `import { Adamax, Variable } from "adamax";
const w = new Variable(new Float32Array(1_000_000));
const optimizer = new Adamax({ threads: 2 });
for (let i = 0; i < 50; i++) { optimizer.applyGradients([[new Float32Array(1_000_000), w]]); await new Promise((done) => setTimeout(done, 2)); }
`;

test("a process with an undisposed optimizer ends by itself", () => {
  const { status, signal, stderr } = inProcess(TRAIN);
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: "" });
});

test("dispose ends the workers", () => {
  const { stdout } = inProcess(
    `${TRAIN} const workers = () => process.getActiveResourcesInfo().filter((name) => name === "Worker" || name === "MessagePort").length;
    const before = workers(); optimizer.dispose(); await new Promise((done) => setTimeout(done, 300)); console.log(workers() <= before, optimizer.backend.threads);`,
  );
  expect(stdout).toBe("true 1\n");
});

test("a backend that optimizers share gives their memory back when they are disposed, also that which workers held", () => {
  // 12 of 60 MB each. Without workers, or with a release that they were not told of, this ends at 100 and at 800 MB.
  const { stdout, stderr } = inProcess(`import { Adamax, Variable, WasmBackend } from "adamax";
    const backend = new WasmBackend({ threads: 2 });
    const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
    let most = 0;
    for (let k = 0; k < 12; k++) {
      const w = new Variable(new Float32Array(4e6));
      const optimizer = new Adamax({ backend });
      optimizer.build([w]);
      const before = backend.sharedPasses;
      for (let i = 0; i < 200 && backend.sharedPasses === before; i++) {
        optimizer.applyGradients([[w.gradient, w]]);
        await sleep(10);
      }
      if (backend.sharedPasses === before) throw new Error("No pass was shared.");
      optimizer.dispose();
      // Workers release it when they have a turn, which a busy machine gives them late.
      for (let i = 0; i < 100 && (i === 0 || process.memoryUsage().rss > 300 * 2 ** 20); i++) await sleep(50);
      most = Math.max(most, process.memoryUsage().rss);
    }
    console.log(most / 2 ** 20);`);
  expect(stderr).toBe("");
  expect(Number(stdout)).toBeLessThan(400);
});

test("what is released is the memory of one optimizer: another one of the backend goes on with its threads and the same bits", async () => {
  const [backend, alone] = [new WasmBackend({ threads: 2 }), new WasmBackend({ threads: 1 })];
  const [first, second, reference] = [trainingOf(backend, {}), trainingOf(backend, {}), trainingOf(alone, {})];
  for (const { step } of [first, second, reference]) step();
  await untilShared(backend, () => {
    first.step();
    second.step();
    reference.step();
  });
  first.optimizer.dispose();
  await sleep(50);
  const before = backend.sharedPasses;
  for (let i = 0; i < 5; i++) for (const { step } of [second, reference]) step();
  expect(backend.sharedPasses).toBeGreaterThan(before);
  expect(digest([...second.variables, ...second.optimizer.variables])).toBe(
    digest([...reference.variables, ...reference.optimizer.variables]),
  );
  backend.dispose();
  alone.dispose();
});
