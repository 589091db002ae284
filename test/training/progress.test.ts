import { expect, test, vi } from "vitest";
import { fit } from "../../src/training/fit.js";
import type { BatchLoss } from "../../src/training/options.js";
import { ambientTerminal, barLine, epochLine } from "../../src/training/progress.js";
import type { Callback } from "../../src/training/training.js";

const optimizer = {
  applyGradients: () => 1,
  iterations: 0,
  learningRate: 0.001,
  useEma: false,
  swapAverages() {},
  finalizeVariableValues() {},
};

/** What a training of two epochs writes, where a batch takes `milliseconds`. */
const written = async ({
  isTTY,
  milliseconds,
  progress,
  fails,
}: {
  isTTY: boolean;
  milliseconds: number;
  progress?: "none" | "lines";
  fails?: boolean;
}) => {
  let now = 0;
  const text: string[] = [];
  const terminal = { write: (more: string) => void text.push(more), isTTY, columns: 80 };
  const loss = (batch: number): BatchLoss<unknown> => {
    now += milliseconds;
    if (fails && batch === 3) throw new Error("broken");
    return { loss: batch, gradients: [] };
  };
  const training = fit(
    { optimizer, data: [1, 2, 3, 4], loss, epochs: 2, ...(progress ? { progress } : {}) },
    { clock: () => now, terminal },
  );
  await (fails ? expect(training).rejects.toThrow("broken") : training);
  return text.join("");
};

const slow = { isTTY: true, milliseconds: 100 };

test("an initialEpoch that leaves nothing to train is said", async () => {
  const text: string[] = [];
  const terminal = { write: (more: string) => void text.push(more), isTTY: false, columns: 80 };
  const loss = (batch: number): BatchLoss<unknown> => ({ loss: batch, gradients: [] });
  const train = (epochs: number) => fit({ optimizer, data: [1], loss, epochs, initialEpoch: 2 }, { clock: () => 0, terminal });
  expect((await train(2)).epochs).toEqual([]);
  expect(text.join("")).toBe("initialEpoch 2: all 2 epochs are trained, nothing is left to do\n");
  await train(3);
  expect(text).toHaveLength(2);
});

test("in a terminal, a bar is drawn over itself and an epoch leaves one line", async () => {
  const text = await written(slow);
  expect(text.split("\n").map((line) => line.split("\r").at(-1))).toEqual([
    "\x1b[Kepoch 1/2  loss 2.5  learning rate 0.001  0.4 s",
    "\x1b[Kepoch 2/2  loss 2.5  learning rate 0.001  0.4 s",
    "",
  ]);
  expect(text).toContain("\repoch 1/2  ████████░░░░░░░░░░░░░░░░░░░░░░  1/4  loss 1  0.3 s left\x1b[K");
  expect(text).toContain("\repoch 2/2  ██████████████████████████████  4/4  loss 2.5  0.0 s left\x1b[K");
});

test("the bar is drawn at most ten times a second", async () => {
  expect((await written(slow)).match(/█/g)).not.toBeNull();
  expect((await written({ ...slow, milliseconds: 1 })).match(/█/g)).toBeNull();
});

test("elsewhere, an epoch writes one plain line", async () => {
  const lines = ["epoch 1/2  loss 2.5  learning rate 0.001  0.4 s\n", "epoch 2/2  loss 2.5  learning rate 0.001  0.4 s\n"];
  expect(await written({ ...slow, isTTY: false })).toBe(lines.join(""));
  expect(await written({ ...slow, progress: "lines" })).toBe(lines.join(""));
});

test("a terminal that cannot go back in a line gets plain lines", () => {
  const { isTTY } = process.stderr;
  Object.defineProperty(process.stderr, "isTTY", { value: true, configurable: true });
  try {
    vi.stubEnv("TERM", "xterm");
    expect(ambientTerminal().isTTY).toBe(true);
    vi.stubEnv("TERM", "dumb");
    expect(ambientTerminal().isTTY).toBe(false);
  } finally {
    vi.unstubAllEnvs();
    Object.defineProperty(process.stderr, "isTTY", { value: isTTY, configurable: true });
  }
});

test("on request, nothing is written", async () => {
  expect(await written({ ...slow, progress: "none" })).toBe("");
});

test("an error leaves the line of the bar, so that its message stands on its own", async () => {
  expect(await written({ ...slow, fails: true })).toContain("2/4  loss 1.5  0.2 s left\x1b[K\n");
});

test("a stopped training says where it stopped, and who stopped it", async () => {
  const text: string[] = [];
  const terminal = { write: (more: string) => void text.push(more), isTTY: false, columns: 80 };
  const loss = (batch: number): BatchLoss<unknown> => ({ loss: batch, gradients: [] });
  const stopper: Callback = { onBatchEnd: ({ batch }, training) => (batch === 2 ? training.stop() : undefined) };
  await fit({ optimizer, data: [1, 2, 3], loss, callbacks: [stopper] }, { clock: () => 0, terminal });
  await fit({ optimizer, data: [1], loss, signal: AbortSignal.abort() }, { clock: () => 0, terminal });
  expect(text.join("")).toBe(
    "stopped by a callback in epoch 1 of 1, after 2 batches\nstopped by the signal before the first batch\n",
  );
});

const halfway = { epoch: 3, epochs: 10, batch: 50, batches: 100, meanLoss: 0.123456, seconds: 9 };

test.each([200, 80, 60, 50, 40, 20, 1])("the bar's line is shorter than a terminal of %i columns", (columns) => {
  expect(barLine(halfway, columns).length).toBeLessThan(columns);
});

test("after a restart, the time that is left goes by the batches of this process", () => {
  expect(barLine({ ...halfway, before: 40 }, 80)).toContain("45.0 s left");
});

test("metrics stand beside the loss", () => {
  const result = {
    epoch: 1,
    batches: 1,
    loss: 1,
    accuracy: 0.51234,
    valLoss: 2,
    valAccuracy: 0.5,
    learningRate: 0.001,
    seconds: 1,
  };
  expect(epochLine(result, 1)).toBe("epoch 1/1  loss 1  accuracy 0.5123  valLoss 2  valAccuracy 0.5  learning rate 0.001  1.0 s");
});

test("the bar gives way to the numbers in a narrow terminal", () => {
  expect(barLine(halfway, 60)).toBe("epoch  3/10  ██████░░░░░░   50/100  loss 0.1235  9.0 s left");
  expect(barLine(halfway, 45)).toBe("epoch  3/10   50/100  loss 0.1235  9.0 s left".slice(0, 44));
});

test("while the number of batches is not known, the line counts them", () => {
  expect(barLine({ ...halfway, batches: undefined }, 80)).toBe("epoch  3/10  50 batches  loss 0.1235  9.0 s");
});

test("data of unknown length has a bar from the second epoch on", async () => {
  let now = 0;
  const text: string[] = [];
  const terminal = { write: (more: string) => void text.push(more), isTTY: true, columns: 80 };
  const loss = (batch: number): BatchLoss<unknown> => {
    now += 100;
    return { loss: batch, gradients: [] };
  };
  await fit({ optimizer, data: () => [1, 1], loss, epochs: 2 }, { clock: () => now, terminal });
  const [first, second] = text.join("").split("\n");
  expect(first).not.toContain("█");
  expect(second).toContain("█");
});

test("long times are in minutes and hours, NaN is shown", () => {
  const result = { epoch: 1, batches: 1, loss: Number.NaN, valLoss: 1.23456e-7, learningRate: 0.001 };
  expect(epochLine({ ...result, seconds: 75.4 }, 1)).toBe("epoch 1/1  loss NaN  valLoss 1.235e-7  learning rate 0.001  1:15 min");
  expect(epochLine({ ...result, seconds: 7265 }, 1)).toContain("2:01 h");
});
