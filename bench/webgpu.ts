/** `npm run bench webgpu`: what a step costs on a GPU device. On software adapters: the calling thread's time, dispatches and bytes. On a GPU also
 *  bytes per second, by timestamps of the device, against a copy of as many bytes; and PyTorch on the same card, where PYTHON has torch with CUDA.
 *  GPU_BANDWIDTH: the card's figure in GB/s, for the ratio to it. */

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Adamax, type AdamaxOptions, Variable } from "adamax";
import { WebGpuBackend } from "adamax/webgpu";
import type { Quartiles } from "./measure.js";
import { initialValue, LEARNING_RATE } from "./model.js";
import type { Answer, Row } from "./report.js";

const EVERYTHING: AdamaxOptions = { useEma: true, weightDecay: 0.004, globalClipnorm: 1, lossScaleFactor: 1024 };
interface Case {
  readonly name: string;
  readonly options: AdamaxOptions;
  /** That move for each parameter. */
  readonly bytes: number;
  readonly stateDtype?: "bfloat16";
}
const CASES: readonly Case[] = [
  { name: "plain", options: {}, bytes: 28 }, //                read w g m u, write w m u
  { name: "everything on", options: EVERYTHING, bytes: 40 }, // and the average, and g once more for its norm
];
const HALVED: Case = { name: "slots in bfloat16", options: {}, bytes: 20, stateDtype: "bfloat16" };
/** GPUBufferUsage: COPY_SRC, COPY_DST, STORAGE, QUERY_RESOLVE, MAP_READ. */
const [COPY_SRC, COPY_DST, STORAGE, QUERY_RESOLVE, MAP_READ] = [0x4, 0x8, 0x80, 0x200, 0x1];
const ROUNDS = 15;
/** Steps whose time on the calling thread is taken together. */
const CALLS = 25;

export const webgpu = async (): Promise<Answer> => {
  const adapter = await adapterHere();
  const { description, vendor, architecture } = adapter.info;
  const name = description || `${vendor} ${architecture}`;
  const isSoftware = /swiftshader|llvmpipe|lavapipe/i.test(`${name} ${vendor} ${architecture}`);
  const hasTimestamps = adapter.features.has("timestamp-query");
  const { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: hasTimestamps ? ["timestamp-query"] : [],
    requiredLimits: { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxBufferSize },
  });
  const backend = await WebGpuBackend.create({ device });
  const rows: Row[] = [];
  const notes = [`${backend.why}. ${hasTimestamps ? "Timed by the device." : "Timed from here: no timestamp-query."}`];
  for (const one of CASES) rows.push(...(await callingThread(backend, one)));
  const torch = isSoftware ? {} : torchOnCard(notes);
  for (const parameters of isSoftware ? [1e5, 1e6] : [1e6, 1e7, 1e8, 1e9]) {
    const stopwatch = new Stopwatch(device, hasTimestamps);
    try {
      rows.push(...(await bandwidth(device, stopwatch, parameters, isSoftware, torch)));
    } catch (error) {
      notes.push(`${parameters.toExponential()} parameters: left out. ${(error as Error).message.split("\n")[0]}`);
    }
    stopwatch.dispose();
  }
  backend.dispose();
  device.destroy();
  if (isSoftware)
    notes.push(
      "A software adapter, on the cores that run all else: its bytes per second say nothing of a GPU. No GPU was measured.",
    );
  return { question: "webgpu", title: `On a GPU device: ${name}`, rows, lines: [], notes };
};

const adapterHere = async (): Promise<GPUAdapter> => {
  const { create } = await import("webgpu").catch(() => {
    throw new Error("This needs the package webgpu: npm install webgpu.");
  });
  const gpu = create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter)
    throw new Error(
      "WebGPU finds no adapter here. Without a GPU: VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json (Debian's chromium).",
    );
  process.once("exit", () => void gpu); // or it is collected, and takes the process with it
  return adapter;
};

const quartiles = (samples: number[]): Quartiles => {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
};
const exactly = (value: number): Quartiles => ({ low: value, median: value, high: value });

/** A thousand variables with gradients on the device: the microseconds of `applyGradients`, and what it tells the device to do. */
const callingThread = async (backend: WebGpuBackend, { name, options }: Case): Promise<Row[]> => {
  const { device } = backend;
  const [count, length] = [1000, 100];
  const optimizer = new Adamax({ backend, learningRate: LEARNING_RATE, ...options });
  const gradients = device.createBuffer({ size: 4 * 128 * count, usage: STORAGE | COPY_DST });
  device.queue.writeBuffer(gradients, 0, initialValue(1, 128 * count) as Float32Array<ArrayBuffer>);
  const pairs = Array.from({ length: count }, (_, i) => {
    const variable = new Variable(initialValue(i, length), { name: `${i}` });
    return [{ buffer: gradients, offset: 512 * i }, variable] as const;
  });
  for (let i = 0; i < 20; i++) optimizer.applyGradients(pairs); // compiles each variant
  await device.queue.onSubmittedWorkDone();

  const counted = { dispatches: 0, uploads: 0, bytes: 0, made: 0 };
  const restore = [
    watch(device.queue, "writeBuffer", (_, __, data) => {
      counted.uploads++;
      counted.bytes += (data as ArrayBufferView).byteLength;
    }),
    watch(device, "createBuffer", () => counted.made++),
    watch(device, "createBindGroup", () => counted.made++),
    watch(
      device,
      "createCommandEncoder",
      () => {},
      (encoder) => {
        watch(
          encoder as GPUCommandEncoder,
          "beginComputePass",
          () => {},
          (pass) => {
            watch(pass as GPUComputePassEncoder, "dispatchWorkgroups", () => counted.dispatches++);
          },
        );
      },
    ),
  ];
  optimizer.applyGradients(pairs);
  for (const one of restore) one();
  await device.queue.onSubmittedWorkDone();

  // A software adapter computes on the cores that this runs on, and would be measured with it. So the device has nothing to do here: steps are encoded
  // without being uploaded and submitted, and as many bytes are uploaded by themselves.
  const { queue } = device;
  const scalars = new Uint8Array(counted.bytes);
  const target = device.createBuffer({ size: Math.max(4, counted.bytes), usage: COPY_DST });
  const encoding: number[] = [];
  const upload: number[] = [];
  const microseconds = (act: () => void): number => {
    const begin = performance.now();
    for (let i = 0; i < CALLS; i++) act();
    return ((performance.now() - begin) * 1000) / CALLS;
  };
  for (let round = 0; round < 40; round++) {
    await queue.onSubmittedWorkDone();
    const undo = [replaced(queue, "submit", () => {}), replaced(queue, "writeBuffer", () => {})];
    encoding.push(microseconds(() => optimizer.applyGradients(pairs)));
    for (const one of undo) one();
    upload.push(microseconds(() => queue.writeBuffer(target, 0, scalars)));
    queue.submit([]);
  }
  const both = encoding.map((time, round) => time + upload[round]!);
  await queue.onSubmittedWorkDone();
  target.destroy();
  optimizer.dispose();
  gradients.destroy();
  const of = `${count} variables, ${name}`;
  return [
    { of, ratio: "applyGradients: encoding and upload", value: quartiles(both), unit: "µs", target: { atMost: 100 } },
    { of, ratio: "of these the upload", value: quartiles(upload), unit: "µs" },
    { of, ratio: "dispatches in a step", value: exactly(counted.dispatches) },
    {
      of,
      ratio: "brought to the device in a step",
      value: exactly(counted.bytes),
      unit: "bytes",
      note: `${counted.uploads} calls`,
    },
    { of, ratio: "made on the device in a step", value: exactly(counted.made), target: { atMost: 0 } },
  ];
};

/** Tells of each call of a method, and of what it gives. Returns what takes that back. */
const watch = <On extends object, Name extends keyof On & string>(
  on: On,
  name: Name,
  told: (...given: unknown[]) => void,
  gave: (result: unknown) => void = () => {},
): (() => void) => {
  const own = on[name] as (...given: unknown[]) => unknown;
  const watched = (...given: unknown[]) => {
    told(...given);
    const result = own.apply(on, given);
    gave(result);
    return result;
  };
  return replaced(on, name, watched);
};

const replaced = <On extends object>(on: On, name: keyof On & string, by: unknown): (() => void) => {
  const own = on[name];
  (on as Record<string, unknown>)[name] = by;
  return () => {
    (on as Record<string, unknown>)[name] = own;
  };
};

/** Seconds that the device takes for what is enqueued between two calls. */
class Stopwatch {
  readonly #device: GPUDevice;
  readonly #queries: GPUQuerySet | undefined;
  readonly #resolved: GPUBuffer;
  readonly #near: GPUBuffer;

  constructor(device: GPUDevice, hasTimestamps: boolean) {
    this.#device = device;
    this.#queries = hasTimestamps ? device.createQuerySet({ type: "timestamp", count: 2 }) : undefined;
    this.#resolved = device.createBuffer({ size: 16, usage: QUERY_RESOLVE | COPY_SRC });
    this.#near = device.createBuffer({ size: 16, usage: COPY_DST | MAP_READ });
  }

  async time(enqueue: () => void): Promise<number> {
    await this.#device.queue.onSubmittedWorkDone();
    const begin = performance.now();
    this.#stamp(0);
    enqueue();
    this.#stamp(1);
    if (!this.#queries) {
      await this.#device.queue.onSubmittedWorkDone();
      return (performance.now() - begin) / 1000;
    }
    const encoder = this.#device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#near, 0, 16);
    this.#device.queue.submit([encoder.finish()]);
    await this.#near.mapAsync(MAP_READ);
    const [first, last] = new BigUint64Array(this.#near.getMappedRange());
    this.#near.unmap();
    return Number(last! - first!) / 1e9;
  }

  /** An empty pass, before which all that was enqueued is done. */
  #stamp(index: number): void {
    if (!this.#queries) return;
    const encoder = this.#device.createCommandEncoder();
    encoder.beginComputePass({ timestampWrites: { querySet: this.#queries, endOfPassWriteIndex: index } }).end();
    this.#device.queue.submit([encoder.finish()]);
  }

  dispose(): void {
    this.#queries?.destroy();
    this.#resolved.destroy();
    this.#near.destroy();
  }
}

type Torch = Readonly<Record<string, number>>;

/** Steps over one variable of so many parameters (pieces of at most 2^28), and a copy of as many bytes, taking turns. */
const bandwidth = async (
  device: GPUDevice,
  stopwatch: Stopwatch,
  parameters: number,
  isSoftware: boolean,
  torch: Torch,
): Promise<Row[]> => {
  const rows: Row[] = [];
  const pieces = Array.from({ length: Math.ceil(parameters / 2 ** 26) }, (_, i) => Math.min(2 ** 26, parameters - i * 2 ** 26));
  for (const { name, options, bytes, stateDtype } of [...CASES, HALVED]) {
    const backend = await WebGpuBackend.create({ device, ...(stateDtype && { stateDtype }) });
    const optimizer = new Adamax({ backend, learningRate: LEARNING_RATE, ...options });
    const variables = pieces.map((length, i) => new Variable(new Float32Array(length).fill(0.5), { name: `${i}` }));
    const gradient = device.createBuffer({ size: 4 * pieces[0]!, usage: STORAGE | COPY_DST | COPY_SRC });
    const target = device.createBuffer({ size: 4 * pieces[0]!, usage: COPY_DST });
    try {
      device.queue.writeBuffer(gradient, 0, initialValue(1, Math.min(pieces[0]!, 1e6)) as Float32Array<ArrayBuffer>);
      const pairs = variables.map((variable) => [{ buffer: gradient }, variable] as const);
      for (let i = 0; i < 3; i++) optimizer.applyGradients(pairs);
      await variables[0]!.readInto(0, new Float32Array(1)); // where there was no memory, this says so
      const steps = Math.max(1, Math.round(2e8 / parameters / (isSoftware ? 100 : 1)));
      const copies = Math.max(1, Math.round((steps * parameters * bytes) / (8 * pieces[0]!)));
      const [step, copy]: number[][] = [[], []];
      for (let round = 0; round < (isSoftware ? 5 : ROUNDS); round++) {
        step!.push(
          (await stopwatch.time(() => {
            for (let i = 0; i < steps; i++) optimizer.applyGradients(pairs);
          })) / steps,
        );
        copy!.push(
          (await stopwatch.time(() => {
            const encoder = device.createCommandEncoder();
            for (let i = 0; i < copies; i++) encoder.copyBufferToBuffer(gradient, 0, target, 0, 4 * pieces[0]!);
            device.queue.submit([encoder.finish()]);
          })) /
            (copies * 8 * pieces[0]!),
        ); // seconds for a byte read or written
      }
      const of = `${parameters.toExponential().replace("e+", "e")}, ${name}`;
      const perSecond = step!.map((seconds) => (parameters * bytes) / seconds / 1e9);
      const aim = isSoftware || parameters < 1e7 ? {} : { target: { atLeast: 0.85 } };
      rows.push({
        of,
        ratio: "moved",
        value: quartiles(perSecond),
        unit: "GB/s",
        note: `${(1000 * quartiles(step!).median).toPrecision(3)} ms a step`,
      });
      rows.push({
        of,
        ratio: "of a copy's bytes per second",
        value: quartiles(step!.map((seconds, i) => (copy![i]! * parameters * bytes) / seconds)),
        ...aim,
      });
      const figure = Number(process.env.GPU_BANDWIDTH);
      if (figure > 0)
        rows.push({ of, ratio: "of the card's figure", value: quartiles(perSecond.map((x) => x / figure)), ...aim });
      for (const peer of name === "plain" ? ["foreach", "compiled"] : []) {
        const seconds = torch[`${peer} ${parameters}`];
        if (seconds === undefined) continue;
        const target = peer === "foreach" ? { target: { atLeast: 3 } } : {};
        rows.push({ of, ratio: `PyTorch ${peer} / ours`, value: quartiles(step!.map((own) => seconds / own)), ...target });
      }
    } finally {
      optimizer.dispose();
      backend.dispose();
      gradient.destroy();
      target.destroy();
    }
  }
  return rows;
};

/** Seconds for a step of PyTorch's Adamax on the card, by way and parameters; empty, and a note, where there is none. */
const torchOnCard = (notes: string[]): Torch => {
  const script = fileURLToPath(new URL("webgpu.py", import.meta.url));
  try {
    const { version, seconds } = JSON.parse(
      execFileSync(process.env.PYTHON ?? "python3", [script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }),
    ) as {
      version: string;
      seconds: Torch;
    };
    notes.push(version);
    return seconds;
  } catch (error) {
    notes.push(
      `PyTorch: left out (${String((error as Error).message)
        .trim()
        .split("\n")
        .at(-1)}).`,
    );
    return {};
  }
};
