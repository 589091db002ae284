/** What is different where the backend's memory is in another thread: what is refused, what has to be awaited, and how it fails. */

import { Adamax, BackendError, earlyStopping, fit, Variable, WasmBackend } from "adamax";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { expectRefused, UNTRAINABLE } from "../far-memory.js";
import { f32, GRADIENTS, read, rejected, stateOf, step, thrown, variable } from "../semantics/helpers.js";
import { FarBackend } from "./backend.js";

const START = [1, -1, 0.5, 2];
const backend = new FarBackend("wasm");
afterAll(() => backend.dispose());

/** An optimizer after one step on far memory, and its variable. */
const trained = (options = {}) => {
  const optimizer = new Adamax({ backend, ...options });
  onTestFinished(() => optimizer.dispose());
  const w = variable(START);
  optimizer.applyGradients([[GRADIENTS[0]!, w]]);
  return { optimizer, w };
};

test.each(UNTRAINABLE)("%s is refused in words, and nothing is built", async (_, given, message) => {
  await expectRefused(backend, given, message);
});

describe("what cannot be seen from here", () => {
  test("is an error that says what to call: read and write for a value", async () => {
    const { w } = trained();
    expect(thrown(() => w.value).message).toMatch(
      /variable "w" .* is not in memory that this thread sees.*Await variable.read\(\).*write/,
    );
    await w.write([4, 3, 2, 1]);
    expect(await read(w)).toEqual([4, 3, 2, 1]);
  });

  test("is an error that says what to call: download for the state", async () => {
    const { optimizer } = trained();
    for (const look of [() => optimizer.variables[1]!.value, () => optimizer.saveOwnVariables()])
      expect(thrown(look).message).toMatch(/momentum of variable "w" .*Await optimizer.download\(\) first/);
    await optimizer.download();
    expect([...optimizer.variables[1]!.value]).toEqual([...optimizer.saveOwnVariables()[1]!]);
  });

  test.each<[string, (optimizer: Adamax, w: Variable) => unknown]>([
    ["a step", (optimizer, w) => optimizer.applyGradients([[GRADIENTS[1]!, w]])],
    ["a swap", (optimizer) => [optimizer.swapAverages(), optimizer.swapAverages()]],
    ["finalizing", (optimizer) => optimizer.finalizeVariableValues()],
    ["loading", (optimizer) => optimizer.loadOwnVariables(optimizer.saveOwnVariables())],
    ["more variables", (optimizer) => optimizer.extend([variable([1], "late")])],
  ])("what was downloaded is not taken for what is there after %s", async (_, change) => {
    const { optimizer, w } = trained({ useEma: true });
    await optimizer.download();
    change(optimizer, w);
    expect(() => optimizer.variables[1]!.value).toThrow(/Await optimizer.download\(\) first/);
  });

  test("a download that a step overtakes is of no moment, and is not kept", async () => {
    const { optimizer, w } = trained();
    const ask = vi.spyOn(backend, "ask");
    const asked = new Promise<void>((resolve) => {
      ask.mockImplementationOnce((...given) => {
        ask.mockRestore();
        resolve();
        return backend.ask(...given);
      });
    });
    const downloading = optimizer.download();
    await asked;
    optimizer.applyGradients([[GRADIENTS[1]!, w]]);
    await downloading;
    expect(() => optimizer.variables[1]!.value).toThrow(/Await optimizer.download\(\) first/);
  });
});

describe("a step that breaks off over there", () => {
  const broken = async (options = {}) => {
    const own = new FarBackend("wasm");
    onTestFinished(() => own.dispose());
    const { optimizer, w } = trained({ backend: own, globalClipnorm: 1, useEma: true, ...options });
    const saved = async () => {
      await optimizer.download();
      return optimizer.saveOwnVariables();
    };
    const [state, value] = [await saved(), await w.read()];
    own.breakAfter(1, "the device is gone");
    expect(optimizer.applyGradients([[GRADIENTS[1]!, w]])).toBe(2); // it was enqueued
    return { optimizer, w, state, value };
  };

  test("shows in what is read after it, and no step is made on what it left", async () => {
    const { optimizer, w } = await broken();
    optimizer.applyGradients([[GRADIENTS[2]!, w]]);
    expect((await rejected(w.read())).message).toBe("the device is gone");
  });

  test.each<[string, (optimizer: Adamax, w: Variable) => unknown]>([
    ["applyGradients", (optimizer, w) => optimizer.applyGradients([[GRADIENTS[2]!, w]])],
    ["saveOwnVariables", (optimizer) => optimizer.saveOwnVariables()],
    ["swapAverages", (optimizer) => optimizer.swapAverages()],
    ["finalizeVariableValues", (optimizer) => optimizer.finalizeVariableValues()],
    ["extend", (optimizer) => optimizer.extend([variable([1])])],
  ])("once it is known, %s refuses with what was said over there", async (_, call) => {
    const { optimizer, w } = await broken();
    await rejected(w.read());
    const error = thrown(() => call(optimizer, w));
    expect(error).toBeInstanceOf(BackendError);
    expect(error.message).toMatch(/neither old nor new. Received: a call after this: the device is gone\. Load both/);
    expect((await rejected(optimizer.download())).message).toBe(error.message);
    expect((await rejected(w.write(START))).message).toBe(error.message);
  });

  test("is mended by loading: the steps that follow have the bits of those without it", async () => {
    const [{ optimizer, w, state, value }, other] = [await broken(), trained({ globalClipnorm: 1, useEma: true })];
    await rejected(w.read());
    optimizer.loadOwnVariables(state);
    await w.write(value);
    for (const gradient of GRADIENTS.slice(1))
      expect(await step(optimizer, [gradient, w])).toEqual(await step(other.optimizer, [gradient, other.w]));
    expect(await stateOf(optimizer)).toEqual(await stateOf(other.optimizer));
  });

  test("leaves the variable where reading it is an error, not a wrong value, also after dispose", async () => {
    const { optimizer, w } = await broken();
    optimizer.dispose();
    expect((await rejected(w.read())).message).toBe("the device is gone");
  });
});

test("when the other thread dies, whoever waits for it is told, and so is who calls after", async () => {
  const own = new FarBackend("wasm");
  const { optimizer, w } = trained({ backend: own });
  own.die();
  const reading = rejected(w.read());
  const gone = /The thread that held the memory is gone/;
  expect((await reading).message).toMatch(gone);
  expect(() => optimizer.applyGradients([[GRADIENTS[1]!, w]])).toThrow(gone);
  expect((await rejected(w.read())).message).toMatch(gone);
  optimizer.dispose();
  expect((await rejected(w.read())).message).toMatch(gone);
});

describe("dispose", () => {
  test("brings the values back, as the last step left them, and then they can be seen", async () => {
    const { optimizer, w } = trained();
    const [values] = await step(optimizer, [GRADIENTS[1]!, w]);
    optimizer.dispose();
    expect(() => w.value).toThrow(BackendError); // they are on their way
    expect(await read(w)).toEqual(values);
    expect([[...w.value], w.owner]).toEqual([values, null]);
  });

  test("of optimizer and backend at once too; no row and no thread is left", async () => {
    const own = new FarBackend("wasm");
    const { optimizer, w } = trained({ backend: own });
    optimizer.extend([variable([1], "late")]);
    expect((await own.held()).rows).toBe(2);
    const [values] = await step(optimizer, [GRADIENTS[1]!, w]);
    optimizer.dispose();
    const held = own.held();
    own.dispose();
    expect(await read(w)).toEqual(values);
    expect((await held).rows).toBe(0);
    expect(await own.ended).toBe(0);
  });

  test("between two swaps brings back the averages, which the variables hold", async () => {
    const { optimizer, w } = trained({ useEma: true });
    optimizer.swapAverages();
    const averages = await read(w);
    optimizer.dispose();
    expect(await read(w)).toEqual(averages);
  });

  test("before the values have arrived over there loses none", async () => {
    const optimizer = new Adamax({ backend });
    const w = variable(START);
    optimizer.build([w]);
    optimizer.dispose();
    expect(await read(w)).toEqual(START);
  });
});

test("fit trains on far memory: validation sees the averages, and the end writes them into the variables", async () => {
  const run = async (backend: FarBackend | WasmBackend) => {
    using optimizer = new Adamax({ backend, useEma: true, learningRate: 0.1 });
    const w = variable(START);
    const seen: number[][] = [];
    const loss = async (target: number) => {
      const value = await w.read();
      seen.push([...value]);
      return { loss: Math.abs(value[0]! - target), gradients: [[value.map((x) => x - target), w]] as const };
    };
    const validate = async (target: number) => (await loss(target)).loss;
    const { epochs } = await fit({
      optimizer,
      data: [3, 4, 5],
      loss,
      epochs: 3,
      validation: { data: [4], loss: validate },
      progress: "none",
    });
    return [epochs.map(({ loss, valLoss }) => [loss, valLoss]), seen, await read(w)];
  };
  expect(await run(backend)).toEqual(await run(new WasmBackend()));
});

test.each([false, true])("earlyStopping restores what the best epoch left there (averages: %s)", async (useEma) => {
  const train = async (optimizer: Adamax, epochs: number) => {
    const w = new Variable(f32(...START), { name: "w" });
    const valLoss = [3, 2, 4, 4];
    await fit({
      optimizer,
      data: [1],
      loss: () => ({ loss: 0, gradients: [[GRADIENTS[0]!, w]] }),
      epochs,
      validation: { data: (epoch) => [valLoss[epoch - 1]!], loss: (value) => value },
      callbacks: [earlyStopping({ patience: 2, restoreBestWeights: true })],
      progress: "none",
    });
    const values = await read(w);
    optimizer.dispose();
    return values;
  };
  const options = { learningRate: 1, useEma, emaMomentum: 0.5 };
  expect(await train(new Adamax({ backend, ...options }), 4)).toEqual(await train(new Adamax(options), 2));
});
