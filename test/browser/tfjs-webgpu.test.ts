/** Our compiled step on TensorFlow.js' webgpu backend: what it must leave alone, what others do to the same tensors, and what it costs. */

import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-webgpu";
import { Adamax as CoreAdamax, type AdamaxOptions as CoreOptions, defineRule, Optimizer, Variable } from "adamax";
import { Adamax, type AdamaxOptions, tfOptimizer } from "adamax/tfjs";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { Lamb } from "../../examples/rules/lamb.js";
import { type Kernels, kernels, variableOf, wave } from "./tensors.js";

beforeEach(async () => {
  expect(await tf.setBackend("webgpu")).toBe(true);
});
afterEach(() => tf.disposeVariables());

/** Small, copied to our arena; large, used where it lies; large, with a length that four do not divide; without elements; without axes. */
const shapes: Record<string, number[]> = { small: [20, 30], large: [200, 200], odd: [33_333], none: [0, 3], scalar: [] };
const names = Object.keys(shapes);
const sizeOf = (name: string) => tf.util.sizeFromShape(shapes[name]!);
const gradientOf = (name: string, step: number) => wave(sizeOf(name), step + name.charCodeAt(0));

/** An optimizer of TensorFlow.js' tensors and one of the core, to be told the same. */
class Pair {
  readonly ours: Adamax;
  readonly core: CoreAdamax;
  step = 0;

  constructor(
    readonly options: AdamaxOptions,
    readonly tensors: Readonly<Record<string, tf.Variable>>,
    readonly variables: Readonly<Record<string, Variable>>,
  ) {
    this.ours = new Adamax(options);
    this.core = new CoreAdamax({ ...(options as unknown as CoreOptions), backend: "interpreter" });
  }

  apply(chosen: readonly string[]): void {
    this.step++;
    tf.tidy(() =>
      this.ours.applyGradients(chosen.map((name) => ({ name, tensor: tf.tensor(gradientOf(name, this.step), shapes[name]) }))),
    );
    this.core.applyGradients(chosen.map((name) => [gradientOf(name, this.step), this.variables[name]!]));
  }
}

const pair = (options: AdamaxOptions): Pair => {
  const tensors = Object.fromEntries(names.map((name) => [name, variableOf(name, gradientOf(name, 0), shapes[name]!)]));
  const variables = names.map((name) => [name, new Variable(gradientOf(name, 0), { shape: shapes[name]!, name })] as const);
  return new Pair(options, tensors, Object.fromEntries(variables));
};

const expectEqual = async ({ tensors, variables }: Pair): Promise<void> => {
  for (const name of names) expect(await tensors[name]!.data(), name).toEqual(variables[name]!.value);
};

const all: AdamaxOptions = { learningRate: 0.1, globalClipnorm: 0.5, weightDecay: 0.1, useEma: true, emaMomentum: 0.5 };
const options: Record<string, AdamaxOptions> = {
  "no option": { learningRate: 0.1 },
  "clipping by each norm": { learningRate: 0.1, clipnorm: 0.5 },
  "everything on": { ...all, emaOverwriteFrequency: 2 },
  "micro-batches, and groups": {
    ...{ learningRate: 0.1, gradientAccumulationSteps: 2, clipvalue: 1, lossScaleFactor: 3 },
    groups: [{ names: ["^large$"], learningRateMultiplier: 0.5, weightDecay: 0.1 }],
  },
};

test.each(Object.entries(options))(
  "%s: the bits of the core, in arenas and in place, also where gradients are missing",
  async (_, given) => {
    const both = pair(given);
    expect(both.ours.backend.why).toContain("compiled");
    for (const chosen of [names, names, ["small", "odd"], ["large", "none"], names, names]) both.apply(chosen);
    await expectEqual(both);
    if (given.useEma) {
      for (const one of [both.ours, both.core]) one.swapAverages();
      await expectEqual(both);
      for (const one of [both.ours, both.core]) one.swapAverages();
      await expectEqual(both);
      for (const one of [both.ours, both.core]) one.finalizeVariableValues();
      await expectEqual(both);
    }
    const saved = await both.ours.getWeights();
    for (const state of both.core.variables.slice(1)) {
      const [, array, name] = state.name.split("/") as [string, string, string];
      const { tensor } = saved.find((one) => one.name === `${name}/${array}`)!;
      expect(await tensor.data(), state.name).toEqual(state.value);
    }
    both.ours.dispose();
  },
);

describe("what was handed out before a step stays as it is", () => {
  test.each(["small", "large"])(
    "clones, kept tensors, reshaped ones, arrays, and variables that share the data: %s",
    async (name) => {
      const w = variableOf(name, gradientOf(name, 0), shapes[name]!);
      const optimizer = new Adamax({ learningRate: 0.1 });
      const held: [tf.Tensor, Float32Array][] = [];
      const arrays: [Float32Array, Float32Array][] = [];
      for (let step = 1; step < 5; step++) {
        const now = Float32Array.from(await w.data());
        // Chromium's software GPU ends where TensorFlow.js reads from it at once (dataSync): only what is not there yet is read so.
        arrays.push([(step === 1 ? w.dataSync() : await w.data()) as Float32Array, now]);
        if (step === 1) held.push([w.clone(), now]);
        if (step === 2) held.push([w.reshape([sizeOf(name)]), now], [tf.variable(w, true, `${name} too`), now]);
        tf.tidy(() => optimizer.applyGradients({ [name]: tf.tensor(gradientOf(name, step), shapes[name]) }));
        expect(await w.data()).not.toEqual(now);
      }
      for (const [tensor, before] of held) expect(await tensor.data()).toEqual(before);
      for (const [array, before] of arrays) expect(array).toEqual(before);
      tf.dispose(held.map(([tensor]) => tensor));
    },
  );

  test("a buffer of the user's, without a copy", async () => {
    const { device } = kernels();
    const buffer = device.createBuffer({
      size: 4 * sizeOf("large"),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(buffer, 0, gradientOf("large", 0));
    const lent = tf.tensor({ buffer, zeroCopy: true } as never, shapes.large!, "float32");
    const w = tf.variable(lent, true, "lent");
    lent.dispose();
    tf.tidy(() => new Adamax({ learningRate: 0.1 }).applyGradients({ lent: tf.ones(shapes.large!) }));
    expect((await w.data())[0]).not.toBe(gradientOf("large", 0)[0]);
    const again = tf.tensor({ buffer, zeroCopy: true } as never, shapes.large!, "float32");
    expect(await again.data()).toEqual(gradientOf("large", 0));
    again.dispose();
    buffer.destroy();
  });
});

test("a value that is being read while steps run is one of before or after, and never an old one later", async () => {
  for (const name of ["small", "large"]) {
    const w = variableOf(name, gradientOf(name, 0), shapes[name]!);
    const core = new Variable(gradientOf(name, 0));
    const [optimizer, coreOptimizer] = [new Adamax({ learningRate: 0.1 }), new CoreAdamax({ learningRate: 0.1 })];
    for (let step = 1; step < 6; step++) {
      const before = core.value.slice();
      const reading = w.data();
      tf.tidy(() => optimizer.applyGradients({ [name]: tf.tensor(gradientOf(name, step), shapes[name]) }));
      coreOptimizer.applyGradients([[gradientOf(name, step), core]]);
      const readingAfter = w.data();
      expect(await reading).toEqual(before);
      expect(await readingAfter).toEqual(core.value);
      expect(await w.data()).toEqual(core.value);
    }
  }
});

test("a gradient may be the variable itself, or another variable of the step: what they were before it", async () => {
  const make = (name: string) => variableOf(name, gradientOf("large", name.charCodeAt(0)), shapes.large!);
  const tensors = ["a", "b", "c"].map(make);
  const variables = tensors.map(({ name }) => new Variable(gradientOf("large", name.charCodeAt(0)), { shape: shapes.large! }));
  const [optimizer, core] = [new Adamax({ learningRate: 0.1 }), new CoreAdamax({ learningRate: 0.1 })];
  const [a, b, c] = tensors as [tf.Variable, tf.Variable, tf.Variable];
  const held: tf.Tensor[] = [];
  for (let step = 0; step < 4; step++) {
    if (step > 1) held.push(a.clone(), b.clone()); // they get new data in the step
    const before = variables.map(({ value }) => value.slice());
    optimizer.applyGradients({ a: a as tf.Tensor, b: c as tf.Tensor, c: b as tf.Tensor });
    core.applyGradients([0, 2, 1].map((from, i) => [before[from]!, variables[i]!]));
    for (const [i, tensor] of tensors.entries()) expect(await tensor.data()).toEqual(variables[i]!.value);
  }
  tf.dispose(held);
});

test("numbers that TensorFlow.js holds as integers: gradients and values; and one tensor for several variables", async () => {
  for (const length of [100, 40_000]) {
    const [optimizer, core] = [new Adamax({ learningRate: 0.1 }), new CoreAdamax({ learningRate: 0.1 })];
    const counted = Float32Array.from({ length }, (_, i) => i);
    const integers = tf.range(0, length, 1, "int32");
    const cast = integers.cast("float32"); // changes what the tensor says of its data, and not the data
    const tensors = [
      ...["a", "b"].map((name) => variableOf(`${name} ${length}`, wave(length, 1), [length])),
      tf.variable(cast, true, `c ${length}`),
    ];
    const variables = [wave(length, 1), wave(length, 1), counted.slice()].map((values) => new Variable(values));
    for (let step = 0; step < 2; step++) {
      optimizer.applyGradients(tensors.map(({ name }, i) => ({ name, tensor: [integers, cast, cast][i]! })));
      core.applyGradients(variables.map((variable) => [counted, variable]));
    }
    for (const [i, tensor] of tensors.entries()) expect(await tensor.data()).toEqual(variables[i]!.value);
    expect(await integers.data()).toEqual(Int32Array.from(counted));
    tf.dispose([integers, cast]);
  }
});

describe("what others do to the same tensors between two steps", () => {
  test("an assigned value, one that comes back, and gradients on another backend", async () => {
    const one = pair(all);
    const assign = (name: string, values: Float32Array) => {
      tf.tidy(() => one.tensors[name]!.assign(tf.tensor(values, shapes[name])));
      one.variables[name]!.value.set(values);
    };
    one.apply(names);
    one.apply(names);
    const kept = one.tensors.small!.clone();
    const keptValues = one.variables.small!.value.slice();
    one.apply(names);
    assign("small", gradientOf("small", 7));
    assign("large", gradientOf("large", 7));
    one.apply(names);
    await expectEqual(one);
    one.tensors.small!.assign(kept);
    one.variables.small!.value.set(keptValues);
    one.apply(names);
    await expectEqual(one);
    await tf.setBackend("cpu");
    one.apply(names); // with gradients made there
    await tf.setBackend("webgpu");
    one.apply(names);
    await expectEqual(one);
    kept.dispose();
  });

  test("two optimizers take turns on the same variables", async () => {
    for (const name of ["small", "large"]) {
      const w = variableOf(name, gradientOf(name, 0), shapes[name]!);
      const [first, second] = [new Adamax({ learningRate: 0.1 }), new Adamax({ learningRate: 0.2, beta1: 0.5 })];
      const [one, other] = [new CoreAdamax({ learningRate: 0.1 }), new CoreAdamax({ learningRate: 0.2, beta1: 0.5 })];
      let values = gradientOf(name, 0);
      const [ofOne, ofOther] = [new Variable(values.slice()), new Variable(values.slice())];
      for (let step = 1; step < 7; step++) {
        const isFirst = step % 3 !== 0;
        tf.tidy(() => (isFirst ? first : second).applyGradients({ [name]: tf.tensor(gradientOf(name, step), shapes[name]) }));
        const variable = isFirst ? ofOne : ofOther;
        variable.value.set(values);
        (isFirst ? one : other).applyGradients([[gradientOf(name, step), variable]]);
        values = Float32Array.from(variable.value);
      }
      expect(await w.data()).toEqual(values);
    }
  });

  test("what TensorFlow.js has encoded and not submitted sees the value of before, and what follows that of after", async () => {
    for (const name of ["small", "large"]) {
      const w = variableOf(name, gradientOf(name, 0), shapes[name]!);
      const optimizer = new Adamax({ learningRate: 0.1 });
      const before = Float32Array.from(await w.data());
      const doubled = w.mul(2);
      tf.tidy(() => optimizer.applyGradients({ [name]: tf.tensor(gradientOf(name, 1), shapes[name]) }));
      const twice = w.mul(2);
      const after = await w.data();
      expect(await doubled.data()).toEqual(before.map((x) => 2 * x));
      expect(await twice.data()).toEqual((after as Float32Array).map((x) => 2 * x));
      expect(after).not.toEqual(before);
      tf.dispose([doubled, twice]);
    }
  });
});

test.each([15, 1000])(
  "steps wait with what TensorFlow.js encodes, until %d dispatches do: each has its own rate, and reads what was there before it",
  async (batch) => {
    const flag = "WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE";
    const before = tf.env().getNumber(flag);
    tf.env().set(flag, batch);
    onTestFinished(() => tf.env().set(flag, before));
    const both = pair({ learningRate: 0.1, clipnorm: 2 });
    both.apply(["small", "odd"]);
    await expectEqual(both);
    const held: [tf.Tensor, Float32Array][] = [];
    const submissions = countSubmissions();
    for (let step = 1; step <= 50; step++) {
      for (const one of [both.ours, both.core]) one.learningRate = 0.1 / step;
      both.apply(["small", "odd"]);
      if (step % 7 === 0) held.push([both.tensors.small!.mul(1), both.variables.small!.value.slice() as Float32Array]);
    }
    // Uploads of TensorFlow.js flush nothing; ours are 16 steps late at most.
    expect(submissions()).toBeLessThanOrEqual(batch === 15 ? 25 : 5);
    await expectEqual(both);
    for (const [tensor, values] of held) expect(await tensor.data()).toEqual(values);
    tf.dispose(held.map(([tensor]) => tensor));
    both.ours.dispose();
  },
);

const countSubmissions = (): (() => number) => {
  let count = 0;
  const { submit } = GPUQueue.prototype;
  GPUQueue.prototype.submit = function (...given) {
    count++;
    return submit.apply(this, given);
  };
  onTestFinished(() => {
    GPUQueue.prototype.submit = submit;
  });
  return () => count;
};

/** Counts buffers of ours on TensorFlow.js' device. */
const watchBuffers = () => {
  const { device } = kernels();
  const live = new Set<GPUBuffer>();
  const { createBuffer } = device;
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer.call(device, descriptor);
    if (!descriptor.label?.startsWith("adamax")) return buffer;
    live.add(buffer);
    const { destroy } = buffer;
    buffer.destroy = () => {
      live.delete(buffer);
      return destroy.call(buffer);
    };
    return buffer;
  };
  onTestFinished(() => {
    device.createBuffer = createBuffer;
  });
  return live;
};

test("memory: tensors, bytes and buffers stay the same over steps, and dispose frees every buffer of ours", async () => {
  const live = watchBuffers();
  const { ours, tensors } = pair({ ...all, gradientAccumulationSteps: 2 });
  const gradients = names.map((name) => ({ name, tensor: tf.tensor(gradientOf(name, 1), shapes[name]) as tf.Tensor }));
  const numbers = () => {
    const { numTensors, numDataBuffers, numBytes, numBytesInGPU, numBytesAllocatedInGPU } = tf.memory() as unknown as Record<
      string,
      number
    >;
    return { numTensors, numDataBuffers, numBytes, numBytesInGPU, numBytesAllocatedInGPU, ours: live.size };
  };
  for (let step = 0; step < 5; step++) ours.applyGradients(gradients);
  const before = numbers();
  expect(before.ours).toBeGreaterThan(5);
  for (let step = 0; step < 50; step++) ours.applyGradients(gradients);
  expect(numbers()).toEqual(before);
  const { newTensors, newBytes } = await tf.profile(() => ours.applyGradients(gradients) as never);
  expect([newTensors, newBytes]).toEqual([0, 0]);
  ours.swapAverages();
  ours.swapAverages();
  ours.build([variableOf("late", wave(10, 1), [10])]);
  tf.tidy(() => ours.applyGradients({ late: tf.ones([10]) }));
  await ours.getWeights();
  ours.dispose();
  ours.dispose();
  expect(live.size).toBe(0);
  for (const name of names) expect(Number.isNaN((await tensors[name]!.data())[0] ?? 0)).toBe(false);
  tf.dispose(gradients.map(({ tensor }) => tensor));
});

test("dispatches do not grow with variables, and nothing is flushed without need", async () => {
  let dispatches = 0;
  const { dispatchWorkgroups } = GPUComputePassEncoder.prototype;
  GPUComputePassEncoder.prototype.dispatchWorkgroups = function (...given) {
    dispatches++;
    return dispatchWorkgroups.apply(this, given);
  };
  onTestFinished(() => {
    GPUComputePassEncoder.prototype.dispatchWorkgroups = dispatchWorkgroups;
  });
  const submissions = countSubmissions();
  const measure = async (given: AdamaxOptions, count: number) => {
    const tensors = Array.from({ length: count }, (_, i) => variableOf(`${count} ${i}`, wave(10 + i, i), [10 + i]));
    const gradients = tensors.map(({ name, shape, size }, i) => ({
      name,
      tensor: tf.tensor(wave(size, -i), shape) as tf.Tensor,
    }));
    const optimizer = new Adamax(given);
    optimizer.applyGradients(gradients);
    await tensors[0]!.data();
    const before = [dispatches, submissions()] as const;
    optimizer.applyGradients(gradients);
    const counts = { dispatches: dispatches - before[0], submissions: submissions() - before[1] };
    tf.dispose([...tensors, ...gradients.map(({ tensor }) => tensor)]);
    optimizer.dispose();
    return counts;
  };
  expect(await measure({}, 3)).toEqual({ dispatches: 1, submissions: 0 });
  expect(await measure({}, 60)).toEqual({ dispatches: 1, submissions: 0 });
  const [few, many] = [await measure(all, 3), await measure(all, 60)];
  expect(few).toEqual(many);
  expect(many.dispatches).toBeLessThanOrEqual(4);
});

describe("where it cannot be compiled, the step is made of operations, and why says so", () => {
  const ulpsApart = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!) / 2 ** -22)); // of values between 2 and 4, which the largest are

  test("a TensorFlow.js without a member that we use", async () => {
    const backend = kernels();
    const { submitQueue } = Object.getPrototypeOf(backend) as Kernels;
    delete (Object.getPrototypeOf(backend) as Kernels).submitQueue;
    const both = pair(all);
    (Object.getPrototypeOf(backend) as Kernels).submitQueue = submitQueue;
    expect(both.ours.backend.why).toContain("TensorFlow.js' operations on webgpu");
    expect(both.ours.backend.why).toContain(`of TensorFlow.js ${tf.version_core} has no submitQueue`);
    for (let step = 0; step < 3; step++) both.apply(["small", "odd"]);
    // Norms are summed in float32 there.
    for (const name of ["small", "odd"])
      expect(ulpsApart(await both.tensors[name]!.data(), both.variables[name]!.value)).toBeLessThanOrEqual(4);
  });

  test("a rule with more arrays than a shader takes", async () => {
    const slots = ["a", "b", "c", "d", "e", "f", "h"] as const;
    class Hoarder extends Optimizer<never> {
      static override readonly rule = defineRule({
        name: "Hoarder",
        slots,
        hyperparameters: {},
        update({ w, g, ...kept }, { learningRate }) {
          const next = Object.fromEntries(slots.map((slot) => [slot, kept[slot].add(g)])) as typeof kept;
          return { w: w.sub(slots.reduce((sum, slot) => sum.add(next[slot]), g).mul(learningRate)), ...next };
        },
      });
    }
    const optimizer = new (tfOptimizer(Hoarder))({ learningRate: 0.1 });
    const core = new Hoarder({ learningRate: 0.1 });
    const w = variableOf("w", wave(100, 0), [100]);
    const variable = new Variable(wave(100, 0));
    for (let step = 1; step < 4; step++) {
      tf.tidy(() => optimizer.applyGradients({ w: tf.tensor(wave(100, step)) }));
      core.applyGradients([[wave(100, step), variable]]);
    }
    expect(optimizer.backend.why).toContain("more arrays at once than the GPU device binds");
    expect(ulpsApart(await w.data(), variable.value)).toBeLessThanOrEqual(4);
    optimizer.dispose();
  });
});

test("a rule with norms of each variable, in arenas and in place: the bits of the core", async () => {
  const [optimizer, core] = [new (tfOptimizer(Lamb))({ learningRate: 0.1 }), new Lamb({ learningRate: 0.1 })];
  const chosen = names.filter((name) => name !== "none");
  const tensors = chosen.map((name) => variableOf(name, gradientOf(name, 0), shapes[name]!));
  const variables = chosen.map((name) => new Variable(gradientOf(name, 0), { shape: shapes[name]!, name }));
  for (let step = 1; step < 4; step++) {
    tf.tidy(() =>
      optimizer.applyGradients(chosen.map((name) => ({ name, tensor: tf.tensor(gradientOf(name, step), shapes[name]) }))),
    );
    core.applyGradients(chosen.map((name, i) => [gradientOf(name, step), variables[i]!]));
  }
  for (const [i, tensor] of tensors.entries()) expect(await tensor.data(), chosen[i]!).toEqual(variables[i]!.value);
  optimizer.dispose();
});

test("a variable that is disposed of while its micro-batches are added up, and those that stay", async () => {
  const given: AdamaxOptions = { learningRate: 0.1, gradientAccumulationSteps: 2, useEma: true };
  const both = pair(given);
  both.apply(names);
  both.tensors.large!.dispose();
  both.tensors.small!.dispose();
  both.apply(["odd", "scalar"]);
  for (const name of ["odd", "scalar"]) expect(await both.tensors[name]!.data()).toEqual(both.variables[name]!.value);
  both.ours.finalizeVariableValues();
  tf.disposeVariables();
  both.ours.finalizeVariableValues();
  both.ours.dispose();
});

test("no memory for the state: the next call says how much was asked for, values are as they were, and nothing is left", async () => {
  const { device } = kernels();
  const live = watchBuffers();
  const { createBuffer } = device;
  device.createBuffer = (descriptor) =>
    createBuffer.call(device, /^adamax array slot/.test(descriptor.label ?? "") ? { ...descriptor, size: 2 ** 40 } : descriptor);
  const both = pair({ learningRate: 0.1 });
  both.apply(names);
  device.createBuffer = createBuffer;
  for (const name of names) expect(await both.tensors[name]!.data()).toEqual(gradientOf(name, 0));
  expect(() => both.apply(names)).toThrow(/no memory .* Received: a request for \d+ bytes/s);
  both.ours.dispose();
  expect(live.size).toBe(0);
});

test("a backend that was removed takes the variables along: the next step and saving say so", async () => {
  const factory = tf.findBackendFactory("webgpu");
  const both = pair({ learningRate: 0.1 });
  both.apply(["small"]);
  tf.removeBackend("webgpu");
  tf.registerBackend("webgpu", factory, 3);
  expect(await tf.setBackend("webgpu")).toBe(true);
  expect(() => both.apply(["small"])).toThrow("was removed, and their data with it");
  await expect(both.ours.getWeights()).rejects.toThrow("was removed, and their data with it"); // its last step was not submitted
  both.ours.dispose();
});

test("a command of TensorFlow.js that the device refuses takes a step with it: the next call says so, once, and training goes on", async () => {
  const ten = Array.from({ length: 10 }, () => tf.ones([4]).mul(2));
  const w = variableOf("w", wave(600, 0), [600]);
  const optimizer = new Adamax({ learningRate: 0.1 });
  const step = () => tf.tidy(() => optimizer.applyGradients({ w: tf.ones([600]) }));
  for (let k = 0; k < 3; k++) {
    step();
    await w.data();
  }
  const before = await w.data();
  tf.addN(ten).dispose(); // binds 11 buffers, which are more than TensorFlow.js asks its device for
  step();
  expect(await w.data()).toEqual(before);
  await new Promise((resolve) => setTimeout(resolve));
  expect(step).toThrow(/refused a command of TensorFlow.js.*that was among it is not made.* Received: .*AddN.*Load the last/s);
  step();
  expect(await w.data()).not.toEqual(before);

  tf.addN(ten).dispose();
  step();
  await expect(optimizer.getWeights()).rejects.toThrow("refused a command of TensorFlow.js");
  tf.dispose((await optimizer.getWeights()).map(({ tensor }) => tensor));
  tf.dispose(ten);
  optimizer.dispose();
});

/** Numbers in [0, 1), the same for the same seed. */
const random = (seed: number) => {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
};

test.each([1, 2, 3, 4, 5, 6])(
  "program %d of random steps of two optimizers, assignments, clones and readings: the numbers of the core",
  async (seed) => {
    const next = random(seed);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
    const lengths = { a: 50, b: 40_000, c: 1 };
    const keys = Object.keys(lengths) as (keyof typeof lengths)[];
    const now = Object.fromEntries(keys.map((name) => [name, wave(lengths[name], seed)]));
    const tensors = Object.fromEntries(keys.map((name) => [name, variableOf(name, now[name]!.slice(), [lengths[name]])]));
    const trainers = [{ learningRate: 0.1 }, { learningRate: 0.2, clipnorm: 1, weightDecay: 0.1 }].map((given) => ({
      ours: new Adamax(given),
      core: new CoreAdamax(given),
      // An array of the core's has one optimizer: each has its own, which takes the values of now.
      variables: Object.fromEntries(keys.map((name) => [name, new Variable(now[name]!.slice())])),
    }));
    for (const { core, variables } of trainers) core.build(Object.values(variables));
    const held: [tf.Tensor, Float32Array][] = [];
    const readings: [Promise<ArrayLike<number>>, Float32Array][] = [];
    const deeds: Record<string, (name: (typeof keys)[number]) => void> = {
      step: () => {
        const { ours, core, variables } = pick(trainers);
        const chosen = keys.filter(() => next() < 0.7);
        if (chosen.length === 0) return;
        const phase = next() * 100;
        // A gradient is a tensor on the CPU, one on the GPU, or what another variable holds.
        const gradients = chosen.map((name) => (next() < 0.2 && name !== "c" ? now[name]!.slice() : wave(lengths[name], phase)));
        tf.tidy(() =>
          ours.applyGradients(
            chosen.map((name, i) => {
              const isOwn = gradients[i]![0] === now[name]![0] && lengths[name] > 1;
              const tensor: tf.Tensor = isOwn ? tensors[name]! : tf.tensor(gradients[i]!);
              return { name, tensor };
            }),
          ),
        );
        for (const name of chosen) variables[name]!.value.set(now[name]!);
        core.applyGradients(chosen.map((name, i) => [gradients[i]!, variables[name]!]));
        for (const name of chosen) now[name] = Float32Array.from(variables[name]!.value);
      },
      assign: (name) => {
        now[name] = wave(lengths[name], next() * 100);
        tf.tidy(() => tensors[name]!.assign(tf.tensor(now[name]!.slice())));
      },
      hold: (name) => void held.push([tensors[name]!.clone(), now[name]!.slice()]),
      takeBack: (name) => {
        const found = held.find(([{ size }]) => size === lengths[name]);
        if (!found) return;
        tensors[name]!.assign(found[0] as tf.Tensor<tf.Rank>);
        now[name] = found[1].slice();
      },
      drop: () => held.shift()?.[0].dispose(),
      read: (name) => void readings.push([tensors[name]!.data(), now[name]!.slice()]),
    };
    for (let i = 0; i < 40; i++) {
      const deed = next() < 0.5 ? "step" : pick(Object.keys(deeds));
      // TensorFlow.js itself fails a reading of data that is freed before it ends.
      if (["assign", "takeBack", "drop"].includes(deed)) await Promise.all(readings.map(([reading]) => reading));
      deeds[deed]!(pick(keys));
      if (next() < 0.1) await tensors.a!.data();
    }
    for (const [reading, values] of readings) expect(await reading).toEqual(values);
    for (const [tensor, values] of held) expect(await tensor.data()).toEqual(values);
    for (const name of keys) expect(await tensors[name]!.data(), name).toEqual(now[name]);
    tf.dispose(held.map(([tensor]) => tensor));
    for (const { ours } of trainers) ours.dispose();
  },
);
