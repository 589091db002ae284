/** What ends a training, and what must not. */

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { Adamax, fit, Variable } from "adamax";
import { expect, onTestFinished, test, vi } from "vitest";

const setting = (options: ConstructorParameters<typeof Adamax>[0] = {}) => {
  const w = new Variable(Float32Array.of(0), { name: "w" });
  const optimizer = new Adamax({ learningRate: 1, ...options });
  const loss = (batch: number) => ({ loss: batch, gradients: [[Float32Array.of(1), w]] as const });
  return { w, optimizer, given: { optimizer, loss, data: [1, 2, 3] as Iterable<number>, progress: "none" as const } };
};

const never = new Promise<never>(() => {});
const endless = (next: () => Promise<IteratorResult<number>>, more: object = {}) => ({
  [Symbol.asyncIterator]: () => ({ next, ...more }),
});

/** What is given instead, where something never comes. */
const hanging: [what: string, options: (wait: () => Promise<never>) => object, batches: number][] = [
  ["data's next()", (wait) => ({ data: endless(wait) }), 0],
  [
    "the second batch",
    (wait) => {
      let drawn = 0;
      return { data: endless(async () => (drawn++ === 0 ? { done: false, value: 1 } : wait())) };
    },
    1,
  ],
  ["data()", (wait) => ({ data: wait }), 0],
  ["the loss", (wait) => ({ loss: wait }), 0],
  ["a metric", (wait) => ({ metrics: { x: wait } }), 0],
  ["validation's loss", (wait) => ({ validation: { data: [1], loss: wait } }), 3],
  ["validation's data", (wait) => ({ validation: { data: endless(wait), loss: () => 0 } }), 3],
];
test.each(hanging)("an abort while %s never comes ends fit as any other stop", async (_, options, batches) => {
  const controller = new AbortController();
  const { optimizer, w, given } = setting({ useEma: true, emaMomentum: 0.5 });
  const wait = () => {
    setTimeout(() => controller.abort());
    return never;
  };
  const history = await fit({ ...given, ...options(wait), signal: controller.signal } as never);
  expect(history.stoppedBy).toBe("signal");
  expect(history.epochs.map((epoch) => epoch.batches)).toEqual(batches > 0 ? [batches] : []);
  expect(optimizer.iterations).toBe(batches);
  optimizer.applyGradients([[Float32Array.of(1), w]]); // it is not left swapped
});

test("what is waited for after the abort does not hold fit up either", async () => {
  const controller = new AbortController();
  const { given } = setting();
  let drawn = 0;
  const data = endless(async () => (drawn++ === 0 ? { done: false, value: 1 } : never));
  const callbacks = [{ onBatchEnd: () => controller.abort() }];
  const history = await fit({ ...given, data, callbacks, signal: controller.signal });
  expect(history).toMatchObject({ stoppedBy: "signal", epochs: [{ batches: 1 }] });
});

test("a signal that never fires changes nothing, and is not listened to afterwards", async () => {
  const { signal } = new AbortController();
  const listening = vi.spyOn(signal, "addEventListener");
  const ended = vi.spyOn(signal, "removeEventListener");
  const { optimizer, given } = setting();
  await fit({ ...given, signal });
  expect(optimizer.iterations).toBe(3);
  expect(ended.mock.calls.map(([, listener]) => listener)).toEqual(listening.mock.calls.map(([, listener]) => listener));
});

test("an error is not hidden by an iterator whose return() never resolves", async () => {
  const data = endless(async () => ({ done: false, value: 1 }), { return: () => never });
  const loss = () => {
    throw new Error("broken");
  };
  await expect(fit({ ...setting().given, data, loss })).rejects.toThrow("broken");
});

test("an error of return() is not passed over when the training was stopped", async () => {
  const data = endless(async () => ({ done: false, value: 1 }), {
    return: async () => {
      throw new Error("cannot close");
    },
  });
  const stopper = { onBatchEnd: (_: unknown, { stop }: { stop(): void }) => stop() };
  await expect(fit({ ...setting().given, data, callbacks: [stopper] })).rejects.toThrow("cannot close");
});

test("data of promises is awaited, from an array and from a generator", async () => {
  for (const data of [[Promise.resolve(1), Promise.resolve(2)], () => [Promise.resolve(1), Promise.resolve(2)].values()]) {
    const { given } = setting();
    const seen: number[] = [];
    const loss = (batch: number) => {
      seen.push(batch);
      return given.loss(batch);
    };
    await fit({ ...given, data: data as never, loss });
    expect(seen).toEqual([1, 2]);
  }
});

test("two at once on one optimizer are refused; one after the other, and after one that failed, are not", async () => {
  const { optimizer, given } = setting();
  const first = fit({ ...given, loss: async (batch) => given.loss(batch) });
  await expect(fit(given)).rejects.toThrow(/one fit at a time.*Await that one first/);
  await first;
  expect(optimizer.iterations).toBe(3);
  await expect(fit({ ...given, data: [] })).rejects.toThrow("at least one batch");
  await fit(given);
  expect(optimizer.iterations).toBe(6);
});

test("micro-batches that fill no window wait for more, and a training in which nothing has moved warns", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  onTestFinished(() => warn.mockRestore());
  const { optimizer, w, given } = setting({ gradientAccumulationSteps: 2 });
  await fit({ ...given, data: [1] });
  expect(w.value[0]).toBe(0);
  expect(warn.mock.calls.flat().join()).toMatch(/fit made no update.*1 batches.*gradientAccumulationSteps=2/);
  warn.mockClear();
  await fit({ ...given, data: [1] });
  expect(w.value[0]).toBeCloseTo(-1);
  await fit({ ...given, data: [1, 2, 3] });
  expect(optimizer.iterations).toBe(2);
  await fit({ ...given, epochs: 1, initialEpoch: 1 }); // nothing was to move
  expect(warn).not.toHaveBeenCalled();
});

/** Trains in a process of its own, with this for its standard error. Returns how it ended. */
const trainWriting = async (stderr: number | "closed", progress: string) => {
  const child = spawn(process.execPath, ["--import", "tsx", "test/training/written-progress.ts", progress], {
    stdio: ["ignore", "pipe", stderr === "closed" ? "pipe" : stderr],
  });
  if (stderr === "closed") child.stderr!.destroy();
  let printed = "";
  child.stdout!.setEncoding("utf8").on("data", (text) => {
    printed += text;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  return { code, printed };
};

test.each(["bar", "lines"])("progress (%s) that cannot be written does not end the training", async (progress) => {
  const full = openSync("/dev/full", "w");
  onTestFinished(() => closeSync(full));
  for (const stderr of [full, "closed"] as const)
    expect(await trainWriting(stderr, progress)).toEqual({ code: 0, printed: "3\n" });
});

test("a terminal whose write throws is written to no more", async () => {
  let calls = 0;
  const terminal = {
    write() {
      calls++;
      throw new Error("EIO");
    },
    isTTY: false,
    columns: 80,
  };
  const { epochs } = await fit({ ...setting().given, epochs: 5, progress: "lines" }, { clock: () => 0, terminal });
  expect(epochs).toHaveLength(5);
  expect(calls).toBe(1);
});
