/** One life: what works with an optimizer holds it, and what does not go together is refused in words. */

import {
  Adamax,
  type Backend,
  BackendError,
  CheckpointError,
  type CompiledStep,
  InterpreterBackend,
  type OnProgress,
  type Row,
  Variable,
  WasmBackend,
} from "adamax";
import { checkpointBlob, loadCheckpoint } from "adamax/checkpoint";
import { describe, expect, onTestFinished, test } from "vitest";
import { f32, read, rejected, thrown, variable } from "./semantics/helpers.js";

/** A backend in which things can be made to go wrong, and be counted. */
const watched = (backend: Backend = new WasmBackend({ threads: 1 })) => {
  const watch = { breaksInPass: -1, placed: 0, freed: 0 };
  const place: Backend["place"] = (...given) =>
    backend.place(...given).map((row) => {
      watch.placed++;
      const { free } = row;
      row.free = () => {
        watch.freed++;
        free.call(row);
      };
      return row;
    });
  const compile: Backend["compile"] = (...given) => {
    const step = backend.compile(...given);
    const runPass: CompiledStep["runPass"] = (pass) => {
      if (pass === watch.breaksInPass) throw new Error("the power is gone");
      step.runPass(pass);
    };
    return Object.create(step, {
      passes: { value: step.passes },
      begin: { value: (rows: Row[], ...more: [number, never]) => step.begin(rows, ...more) },
      runPass: { value: runPass },
      joinSums: { value: (pass: number) => step.joinSums(pass) },
      end: { value: () => step.end() },
    });
  };
  const checkGradient: Backend["checkGradient"] = (...given) => backend.checkGradient(...given);
  return { watch, backend: { name: "watched", why: "", place, compile, checkGradient, dispose: () => backend.dispose() } };
};

describe("a backend that throws in the middle of a step", () => {
  const broken = () => {
    const { backend, watch } = watched();
    const optimizer = new Adamax({ backend, useEma: true, globalClipnorm: 1 });
    onTestFinished(() => optimizer.dispose());
    const w = variable([1, 2]);
    optimizer.applyGradients([[f32(1, 1), w]]);
    const saved = { state: optimizer.saveOwnVariables(), value: w.value.slice() };
    watch.breaksInPass = 1;
    expect(() => optimizer.applyGradients([[f32(3, 4), w]])).toThrow("the power is gone");
    watch.breaksInPass = -1;
    return { optimizer, w, saved };
  };

  test.each<[string, (optimizer: Adamax, w: Variable) => unknown]>([
    ["applyGradients", (optimizer, w) => optimizer.applyGradients([[f32(1, 1), w]])],
    ["saveOwnVariables", (optimizer) => optimizer.saveOwnVariables()],
    ["finalizeVariableValues", (optimizer) => optimizer.finalizeVariableValues()],
    ["swapAverages", (optimizer) => optimizer.swapAverages()],
    ["extend", (optimizer) => optimizer.extend([variable([1])])],
  ])("%s refuses until variables and state are loaded again", (_, call) => {
    const { optimizer, w, saved } = broken();
    const error = thrown(() => call(optimizer, w));
    expect(error).toBeInstanceOf(BackendError);
    expect(error.message).toMatch(/neither old nor new. Received: a call after a step that broke off. Load both/);
    expect(optimizer.iterations).toBe(1);
    optimizer.loadOwnVariables(saved.state);
    w.value.set(saved.value);
    call(optimizer, w);
  });

  test("nothing is written to a variable, and no checkpoint is made", async () => {
    const { optimizer, w } = broken();
    expect((await rejected(w.write([1, 2]))).message).toMatch(/neither old nor new/);
    expect((await rejected(checkpointBlob({ optimizer }))).message).toMatch(/neither old nor new/);
  });
});

/** Some pieces of a checkpoint. */
const trained = (steps: number) => {
  const optimizer = new Adamax({ backend: "wasm", useEma: true, learningRate: 0.5 });
  onTestFinished(() => optimizer.dispose());
  const w = new Variable(
    Float32Array.from({ length: 600_000 }, (_, i) => i),
    { name: "w" },
  );
  optimizer.build([w]);
  for (let k = 0; k < steps; k++) {
    w.gradient.fill(k + 1);
    optimizer.applyGradients([[w.gradient, w]]);
  }
  return { optimizer, w };
};
/** State and value. */
const bytesOf = (optimizer: Adamax, w: Variable): Buffer => {
  const arrays = [...optimizer.variables.map(({ value }) => value), w.value];
  return Buffer.concat(arrays.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)));
};
/** Told after each piece: calls `act` once, as soon as `isTime`. */
const once = (act: () => void, isTime: (place: number) => boolean = () => true): OnProgress => {
  let [place, isDone] = [0, false];
  return () => {
    if (isDone || !isTime(place++)) return;
    isDone = true;
    act();
  };
};

describe("while a checkpoint is being saved", () => {
  test.each<[string, (optimizer: Adamax, w: Variable) => unknown]>([
    ["finalizeVariableValues", (optimizer) => optimizer.finalizeVariableValues()],
    ["finalizeVariableValues of one variable", (optimizer, w) => optimizer.finalizeVariableValues([w])],
    ["two swaps", (optimizer) => [optimizer.swapAverages(), optimizer.swapAverages()]],
    ["a step", (optimizer, w) => optimizer.applyGradients([[w.gradient, w]])],
    ["a value that is written", (_, w) => w.write(new Float32Array(w.length))],
    ["loading", (optimizer) => optimizer.loadOwnVariables(optimizer.saveOwnVariables())],
    ["more variables", (optimizer) => optimizer.extend([variable([1], "late")])],
  ])("%s, from onProgress, makes the saving fail: no file is half of one moment", async (_, change) => {
    const { optimizer, w } = trained(2);
    const saving = checkpointBlob({ optimizer, onProgress: once(() => change(optimizer, w)) });
    const error = await rejected(saving);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/changed while they were being saved.* Received: \d+ changes.*Await saveCheckpoint/);
  });

  test.each<[string, (optimizer: Adamax) => void, RegExp]>([
    ["one swap", (optimizer) => optimizer.swapAverages(), /hold their averages/],
    ["dispose", (optimizer) => optimizer.dispose(), /was disposed/],
  ])("%s, from onProgress, makes it fail too, and says what the variables hold now", async (_, change, message) => {
    const { optimizer } = trained(2);
    expect((await rejected(checkpointBlob({ optimizer, onProgress: once(() => change(optimizer)) }))).message).toMatch(message);
  });
});

describe("while a checkpoint is being loaded", () => {
  test("another one waits for nobody: of two at once one is refused, and the other is there as a whole", async () => {
    const [one, two] = [trained(1), trained(2)];
    const blobs = [await checkpointBlob({ optimizer: one.optimizer }), await checkpointBlob({ optimizer: two.optimizer })];
    const { optimizer, w } = trained(3);
    const results = await Promise.allSettled(blobs.map((blob) => loadCheckpoint(blob, { optimizer })));
    const place = results.findIndex(({ status }) => status === "fulfilled");
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect((results[1 - place] as PromiseRejectedResult).reason.message).toMatch(
      /A checkpoint is being loaded.*Await loadCheckpoint/,
    );
    const whole = [one, two][place]!;
    expect(bytesOf(optimizer, w).equals(bytesOf(whole.optimizer, whole.w))).toBe(true);
  });

  test.each<[string, (optimizer: Adamax, w: Variable) => unknown]>([
    ["a step", (optimizer, w) => optimizer.applyGradients([[w.gradient, w]])],
    ["swapAverages", (optimizer) => optimizer.swapAverages()],
    ["finalizeVariableValues", (optimizer) => optimizer.finalizeVariableValues()],
    ["saveOwnVariables", (optimizer) => optimizer.saveOwnVariables()],
    ["loadOwnVariables", (optimizer) => optimizer.loadOwnVariables({ 0: [1] })],
    ["extend", (optimizer) => optimizer.extend([variable([1])])],
  ])("%s is refused, and the checkpoint is loaded as a whole", async (_, call) => {
    const other = trained(2);
    const blob = await checkpointBlob({ optimizer: other.optimizer });
    const { optimizer, w } = trained(1);
    const refusals: Error[] = [];
    const pieces = Math.ceil(blob.size / (4 * 2 ** 20)) + 1; // read once to be checked, and then to be loaded
    const onProgress = once(
      () => refusals.push(thrown(() => call(optimizer, w))),
      (place) => place >= pieces,
    );
    await loadCheckpoint(blob, { optimizer, onProgress });
    expect(refusals.map(({ message }) => message)).toEqual([expect.stringMatching(/A checkpoint is being loaded/)]);
    expect(optimizer.iterations).toBe(2);
    expect(bytesOf(optimizer, w).equals(bytesOf(other.optimizer, other.w))).toBe(true);
  });

  test("dispose ends it", async () => {
    const blob = await checkpointBlob({ optimizer: trained(2).optimizer });
    const { optimizer } = trained(1);
    const onProgress = once(
      () => optimizer.dispose(),
      (place) => place >= Math.ceil(blob.size / (4 * 2 ** 20)) + 1,
    );
    expect((await rejected(loadCheckpoint(blob, { optimizer, onProgress }))).message).toMatch(/was disposed/);
  });
});

describe("memory is given back", () => {
  test.each([new WasmBackend({ threads: 1 }), new InterpreterBackend()])(
    "row by row, once each, by dispose ($name)",
    async (given) => {
      const { backend, watch } = watched(given);
      const optimizer = new Adamax({ backend });
      const variables = [variable([1], "a"), variable([2], "b")];
      optimizer.build(variables);
      optimizer.extend([variable([3], "c")]);
      expect(watch).toMatchObject({ placed: 3, freed: 0 });
      optimizer.dispose();
      optimizer.dispose();
      expect(watch).toMatchObject({ placed: 3, freed: 3 });
      expect(await Promise.all(variables.map(read))).toEqual([[1], [2]]);
    },
  );

  test("by a build that its own onProgress makes impossible", () => {
    const { backend, watch } = watched();
    const optimizer = new Adamax({ backend });
    const w = variable([1]);
    expect(() => optimizer.build([w], { onProgress: () => optimizer.dispose() })).toThrow(/was disposed/);
    expect(watch).toMatchObject({ placed: 1, freed: 1 });
    expect([w.owner, [...w.value]]).toEqual([null, [1]]);
  });
});

test("a build in the onProgress of a build is refused, whoever builds what; nothing is trained twice", () => {
  const large = () => new Variable(new Float32Array(5_000_000));
  const builds: ((optimizer: Adamax, w: Variable) => void)[] = [
    (optimizer, w) => optimizer.build([w]),
    (optimizer) => optimizer.build([new Variable(new Float32Array(1))]),
    (optimizer, w) => optimizer.applyGradients([[new Float32Array(w.length), w]]),
    (_, w) => new Adamax().build([w]),
  ];
  for (const build of builds) {
    using optimizer = new Adamax();
    const w = large();
    let once = 0;
    expect(() => optimizer.build([w], { onProgress: () => once++ || build(optimizer, w) })).toThrow(
      /A build is one call|is trained by another optimizer/,
    );
    expect(optimizer.trainableVariables.length).toBeLessThanOrEqual(1);
  }
});
