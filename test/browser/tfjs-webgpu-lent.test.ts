/** Our compiled step on TensorFlow.js' webgpu backend, among tensors that are not as usual: buffers of the user's, other backends, other elements. */

import * as tf from "@tensorflow/tfjs";
import { WebGPUBackend } from "@tensorflow/tfjs-backend-webgpu";
import { Adamax as CoreAdamax, Variable } from "adamax";
import { Adamax } from "adamax/tfjs";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { PRIVATE_MEMBERS } from "../../src/tfjs/core/private-members.js";
import { type Kernels, kernels, variableOf, wave } from "./tensors.js";

beforeEach(async () => {
  expect(await tf.setBackend("webgpu")).toBe(true);
});
afterEach(() => tf.disposeVariables());

/** In an arena, and in place. */
const LENGTHS = [100, 40_000];

/** A variable here and one of the core, each with an optimizer, to be told the same. */
const both = (name: string, values: Float32Array<ArrayBuffer>) => {
  const [ours, core] = [new Adamax({ learningRate: 0.1 }), new CoreAdamax({ learningRate: 0.1 })];
  const [w, variable] = [variableOf(name, values), new Variable(values.slice())];
  const apply = (gradient: tf.Tensor, numbers: Float32Array<ArrayBuffer>) => {
    ours.applyGradients({ [name]: gradient });
    core.applyGradients([[numbers, variable]]);
  };
  return { ours, w, variable, apply };
};

const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
const bufferOf = (values: Float32Array<ArrayBuffer>): GPUBuffer => {
  const { device } = kernels();
  const buffer = device.createBuffer({ size: values.byteLength, usage: STORAGE | COPY_SRC | COPY_DST });
  device.queue.writeBuffer(buffer, 0, values);
  return buffer;
};
const lend = (buffer: GPUBuffer): tf.Tensor => tf.tensor({ buffer, zeroCopy: true } as never, [buffer.size / 4], "float32");

test.each(LENGTHS)(
  "a buffer of the user's may be written to and destroyed when the call has returned: %d elements",
  async (length) => {
    const { w, variable, apply } = both("w", wave(length, 0));
    tf.tidy(() => apply(tf.tensor(wave(length, 1)), wave(length, 1)));
    await w.data(); // memory is there: from now on steps wait
    const buffer = bufferOf(wave(length, 1));
    const gradient = lend(buffer);
    for (let step = 1; step < 4; step++) {
      kernels().device.queue.writeBuffer(buffer, 0, wave(length, step));
      apply(gradient, wave(length, step));
    }
    const values = bufferOf(wave(length, 4));
    const lent = lend(values);
    w.assign(lent as tf.Tensor<tf.Rank>);
    variable.value.set(wave(length, 4));
    tf.dispose([lent, gradient]);
    buffer.destroy();
    tf.tidy(() => apply(tf.tensor(wave(length, 5)), wave(length, 5)));
    values.destroy();
    expect(await w.data()).toEqual(variable.value);
  },
);

test("TensorFlow.js' backend made anew on the same device: steps are submitted there", async () => {
  const factory = tf.findBackendFactory("webgpu");
  onTestFinished(() => {
    tf.removeBackend("webgpu");
    tf.registerBackend("webgpu", factory, 3);
  });
  const adapter = (await navigator.gpu.requestAdapter())!;
  const device = await adapter.requestDevice();
  for (let round = 0; round < 2; round++) {
    tf.disposeVariables();
    tf.removeBackend("webgpu");
    tf.registerBackend("webgpu", () => new WebGPUBackend(device as never, adapter.info as never), 3);
    expect(await tf.setBackend("webgpu")).toBe(true);
    const { w, variable, apply } = both("w", wave(10, 0));
    tf.tidy(() => apply(tf.tensor(wave(10, 1)), wave(10, 1)));
    expect(await w.data()).toEqual(variable.value);
  }
  tf.disposeVariables();
});

test.each(LENGTHS)(
  "a step while TensorFlow.js uses another backend, with a value that others hold, and one of integers: %d elements",
  async (length) => {
    const { w, variable, apply } = both("w", wave(length, 0));
    const held = w.clone();
    const step = (phase: number) => tf.tidy(() => apply(tf.tensor(wave(length, phase)), wave(length, phase)));
    await tf.setBackend("cpu");
    step(1);
    await tf.setBackend("webgpu");
    expect(await w.data()).toEqual(variable.value);
    expect(await held.data()).toEqual(wave(length, 0));
    const counted = Float32Array.from({ length }, (_, i) => i);
    tf.tidy(() => w.assign(tf.range(0, length, 1, "int32").cast("float32") as never));
    variable.value.set(counted);
    const integers = tf.tidy(() => tf.range(0, length, 1, "int32").add(tf.range(0, length, 1, "int32"))); // on the GPU, if long
    await tf.setBackend("cpu");
    apply(
      integers,
      counted.map((x) => 2 * x),
    );
    expect(tf.getBackend()).toBe("cpu");
    expect(await w.data()).toEqual(variable.value);
    tf.dispose([held, integers]);
  },
);

test.each(["complex64", "string"] as const)("a gradient of %s is refused by name, and nothing moves", async (dtype) => {
  const { w, apply } = both("w", wave(4, 0));
  const gradient = dtype === "string" ? tf.tensor(["a", "b", "c", "d"]) : tf.complex(wave(4, 1), wave(4, 2));
  expect(() => apply(gradient, wave(4, 1))).toThrow(`Received: a tensor of dtype ${dtype}`);
  expect(await w.data()).toEqual(wave(4, 0));
});

test("gradients of bool, also where a cast says that they are float32", async () => {
  for (const length of LENGTHS) {
    const { w, variable, apply } = both(`w ${length}`, wave(length, 0));
    const bits = Float32Array.from({ length }, (_, i) => i % 2);
    tf.tidy(() => {
      const gradient = tf.tensor(Uint8Array.from(bits), [length], "bool");
      apply(gradient, bits);
      apply(gradient.cast("float32"), bits);
    });
    expect(await w.data()).toEqual(variable.value);
  }
});

test("a long variable is read four elements at a time from the first step on, also one that comes later", () => {
  const texts: string[] = [];
  const { device } = kernels();
  const { createShaderModule } = device;
  device.createShaderModule = (descriptor) => {
    if (descriptor.label?.startsWith("pass")) texts.push(descriptor.code);
    return createShaderModule.call(device, descriptor);
  };
  onTestFinished(() => {
    device.createShaderModule = createShaderModule;
  });
  const optimizer = new Adamax({ learningRate: 0.1, clipvalue: 3 });
  for (const name of ["early", "late"]) {
    variableOf(name, wave(40_000, 0));
    tf.tidy(() => optimizer.applyGradients({ [name]: tf.ones([40_000]) }));
  }
  expect(texts.length).toBeGreaterThan(0);
  for (const text of texts) expect(text).toContain("alias Float = vec4<f32>");
  optimizer.dispose();
});

describe("a TensorFlow.js that is not as we know it: the step is made of operations, and why says so", () => {
  const stepOfCore = (): Float32Array => {
    const variable = new Variable(wave(10, 0));
    new CoreAdamax({ learningRate: 0.1 }).applyGradients([[wave(10, 1), variable]]);
    return variable.value as Float32Array;
  };

  test("whichever of the members is missing", () => {
    const backend = kernels() as object;
    for (const name of PRIVATE_MEMBERS.webgpuBackend) {
      const owner = Object.hasOwn(backend, name) ? backend : Object.getPrototypeOf(backend);
      const descriptor = Object.getOwnPropertyDescriptor(owner, name)!;
      delete owner[name];
      let optimizer: Adamax;
      try {
        optimizer = new Adamax();
      } finally {
        Object.defineProperty(owner, name, descriptor);
      }
      expect(optimizer.backend.why).toContain(`of TensorFlow.js ${tf.version_core} has no ${name}`);
    }
  });

  test("one of them throws", async () => {
    const backend = kernels() as Kernels & { uploadToGPU?: unknown };
    backend.uploadToGPU = () => {
      throw new TypeError("info.shape is undefined");
    };
    const optimizer = new Adamax({ learningRate: 0.1 });
    delete backend.uploadToGPU; // the prototype has it
    expect(optimizer.backend.why).toContain("failed: info.shape is undefined");
    const w = variableOf("w", wave(10, 0));
    tf.tidy(() => optimizer.applyGradients({ w: tf.tensor(wave(10, 1)) }));
    expect(await w.data()).toEqual(stepOfCore());
  });

  test.each([{ globalClipnorm: 0.5 }, { clipnorm: 0.5 }])(
    "norms of more variables than are added up at once, one of them without elements: %j",
    async (clipping) => {
      const proto = Object.getPrototypeOf(kernels()) as Kernels;
      const { submitQueue } = proto;
      delete proto.submitQueue;
      const ours = new Adamax({ learningRate: 0.1, ...clipping });
      proto.submitQueue = submitQueue;
      const core = new CoreAdamax({ learningRate: 0.1, ...clipping });
      const lengths = [0, ...Array.from({ length: 60 }, (_, i) => i + 1)];
      const tensors = lengths.map((length, i) => variableOf(`w${i}`, wave(length, i)));
      const variables = lengths.map((length, i) => new Variable(wave(length, i)));
      for (let step = 1; step < 4; step++) {
        tf.tidy(() =>
          ours.applyGradients(tensors.map(({ name, size }, i) => ({ name, tensor: tf.tensor(wave(size, step + i), [size]) }))),
        );
        core.applyGradients(variables.map((variable, i) => [wave(variable.length, step + i), variable]));
      }
      for (const [i, tensor] of tensors.entries()) {
        const values = await tensor.data();
        // Norms are added up in float32 there: a few ulps of values up to 2.
        for (const [k, value] of variables[i]!.value.entries())
          expect(Math.abs(values[k]! - value), `w${i}[${k}]`).toBeLessThanOrEqual(8 * 2 ** -23);
      }
      ours.dispose();
    },
  );

  test("the flag that says when it submits is gone", () => {
    const { flagRegistry, flags } = tf.env() as unknown as Record<"flagRegistry" | "flags", Record<string, unknown>>;
    const flag = "WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE";
    const { [flag]: registered } = flagRegistry!;
    delete flagRegistry![flag];
    delete flags![flag];
    try {
      expect(new Adamax().backend.why).toContain(`failed: Cannot evaluate flag '${flag}'`);
    } finally {
      flagRegistry![flag] = registered;
    }
  });
});

test("the device is lost: steps and saving say so, and on a backend made anew a new optimizer trains", async () => {
  const factory = tf.findBackendFactory("webgpu");
  const { ours, apply } = both("w", wave(10, 0));
  const step = () => tf.tidy(() => apply(tf.tensor(wave(10, 1)), wave(10, 1)));
  step();
  const { device } = kernels();
  device.destroy();
  await device.lost;
  expect(step).toThrow("The GPU device is lost");
  await expect(ours.getWeights()).rejects.toThrow("The GPU device is lost");
  ours.dispose();
  tf.disposeVariables();
  tf.removeBackend("webgpu");
  tf.registerBackend("webgpu", factory, 3);
  expect(await tf.setBackend("webgpu")).toBe(true);
  const again = both("w", wave(10, 0));
  tf.tidy(() => again.apply(tf.tensor(wave(10, 1)), wave(10, 1)));
  expect(await again.w.data()).toEqual(again.variable.value);
});

test("no memory for a value in the middle of a step: values are as they were, nothing is left, and the step can be made again", async () => {
  const names = ["shared", "short", "last"];
  const lengths = [40_000, 100, 50_000];
  const options = { learningRate: 0.1, useEma: true };
  const [ours, core] = [new Adamax(options), new CoreAdamax(options)];
  const tensors = names.map((name, i) => variableOf(name, wave(lengths[i]!, i)));
  const variables = lengths.map((length, i) => new Variable(wave(length, i)));
  const step = (phase: number) =>
    tf.tidy(() =>
      ours.applyGradients({
        shared: tf.ones([lengths[0]!], "int32"), // makes a copy
        short: tf.tensor(wave(lengths[1]!, phase)),
        last: tf.tensor(wave(lengths[2]!, phase)),
      }),
    );
  const stepOfCore = (phase: number) =>
    core.applyGradients(
      [new Float32Array(lengths[0]!).fill(1), wave(lengths[1]!, phase), wave(lengths[2]!, phase)].map((g, i) => [
        g,
        variables[i]!,
      ]),
    );
  const expectEqual = async () => {
    for (const [i, tensor] of tensors.entries()) expect(await tensor.data(), names[i]!).toEqual(variables[i]!.value);
  };
  step(1);
  stepOfCore(1);
  await expectEqual();
  const held = tensors.slice(0, 2).map((tensor) => tensor.clone()); // the step gives these variables data of their own
  const { numTensors } = tf.memory();
  const backend = kernels() as unknown as { uploadToGPU?: (dataId: object) => void };
  const { uploadToGPU } = backend;
  let fails = true;
  backend.uploadToGPU = (dataId) => {
    if (fails && dataId === tensors[2]!.dataId) throw new RangeError("createBuffer failed");
    uploadToGPU!.call(backend, dataId);
  };
  onTestFinished(() => {
    delete backend.uploadToGPU;
  });
  tf.tidy(() => tensors[2]!.assign(tf.tensor(wave(lengths[2]!, 9)))); // comes to the GPU in the step
  variables[2]!.value.set(wave(lengths[2]!, 9));
  expect(() => step(2)).toThrow("createBuffer failed");
  fails = false;
  expect(tf.memory().numTensors).toBe(numTensors);
  await expectEqual();
  step(2);
  stepOfCore(2);
  await expectEqual();
  expect(ours.iterations).toBe(2);
  tf.dispose(held);
  ours.dispose();
});
