/** A backend on a GPU, by WebGPU: variables, gradients and state are in the device's memory, and a step is a few dispatches that nobody waits for. */

import type {
  Backend,
  CompiledStep,
  Described,
  DeviceBuffer,
  Gradient,
  OnProgress,
  RowClass,
  RowRequest,
  StepParameters,
} from "../../backend.js";
import { BackendError, OptionError, show } from "../../errors.js";
import { type Checked, checkKinds, flag, integerFrom, isObject, type Kind, type Kinds, oneOf, optional } from "../../kinds.js";
import type { Program } from "../../rule/program.js";
import { Device, type DeviceSource } from "./device.js";
import { checkGradient, Gradients } from "./gradients.js";
import { type Allocation, addArray, type DeviceArrays, reserve } from "./memory.js";
import { arraysFor, NO_PAIRS, pairsOf } from "./pairs.js";
import { assertBindable } from "./plan.js";
import { DeviceRow, Placement } from "./rows.js";
import { DeviceStep } from "./step.js";
import { BufferVariable, type BufferVariableOptions, refuseShared } from "./variable.js";

/** What `WebGpuBackend.create` takes. */
export interface WebGpuOptions extends DeviceSource {
  /** Whether a float16 copy of each value is kept, for shaders that compute with halves: steps write it in the same pass. Default false. */
  readonly float16Copies?: boolean;
  /** What slots (m and u of Adamax) are kept in. "bfloat16": two of them in the bytes of one float32, rounded at random. Default "float32". */
  readonly stateDtype?: "float32" | "bfloat16";
  /** Which random numbers "bfloat16" rounds by: an integer in [0, 2^32). A resumed training goes on with the same ones. Default 0. */
  readonly seed?: number;
}

const given = (wanted: string, ...members: string[]): Kind<never> => ({
  wanted,
  holds: (value) => isObject(value) && members.every((name) => name in value),
  byDefault: undefined as never,
});
const KINDS: Kinds<WebGpuOptions> = {
  device: given("a GPUDevice", "queue", "limits", "lost", "createBuffer"),
  gpu: given("what has requestAdapter"),
  float16Copies: optional(flag, false),
  stateDtype: optional(oneOf("float32", "bfloat16"), "float32"),
  seed: optional(
    { wanted: "an integer in [0, 2^32)", holds: (value) => integerFrom(0).holds(value) && (value as number) < 2 ** 32 },
    0,
  ),
};

/** Runs steps on a GPU device, where variables and state are. */
export class WebGpuBackend implements Backend {
  readonly name = "webgpu";
  readonly #device: Device;
  readonly #gradients: Gradients;
  readonly #copiesHalves: boolean;
  readonly #pairsSlots: boolean;
  readonly #seed: number;
  readonly #rows = new WeakMap<Described, DeviceRow>();
  /** What has been placed and not been freed. */
  #placements = 0;

  private constructor(device: Device, options: Checked<WebGpuOptions>) {
    if (!(device instanceof Device))
      throw new OptionError("A WebGpuBackend waits for its device", show(device), "Call await WebGpuBackend.create({ device }).");
    this.#device = device;
    this.#gradients = new Gradients(device);
    this.#copiesHalves = options.float16Copies;
    this.#pairsSlots = options.stateDtype === "bfloat16";
    this.#seed = options.seed;
  }

  /** Without options: on the GPU that the browser gives. `device`: one of yours, to share buffers with; you destroy it. `gpu`: what has
   *  `requestAdapter`, in Node `create([])` of the package webgpu.
   *  @throws BackendError where there is no WebGPU or no adapter. */
  static async create(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
    if (isObject(options) && ("createBuffer" in options || "requestAdapter" in options))
      throw new OptionError("WebGpuBackend.create takes one object of options", show(options), "Pass { device }, or { gpu }.");
    const checked = checkKinds<WebGpuOptions>("WebGpuBackend.create", options, KINDS);
    const { device, gpu, seed, stateDtype } = checked;
    if (device && gpu)
      throw new OptionError("WebGpuBackend.create takes a device, or gpu to get one from", "both", "Leave one out.");
    if (seed !== 0 && stateDtype !== "bfloat16")
      throw new OptionError("seed is for what is rounded at random", `seed=${seed}, stateDtype=${stateDtype}`, "Leave it out.");
    return new WebGpuBackend(await Device.open({ device, gpu }), checked);
  }

  /** Which adapter this is, and how it computes. */
  get why(): string {
    return `${this.#device.why}${this.#pairsSlots ? "; slots in bfloat16, two in a word" : ""}`;
  }

  /** The device, for shaders of yours: buffers of it can be gradients and values. */
  get device(): GPUDevice {
    return this.#device.gpu;
  }

  /** What is in the device's memory because of this backend. */
  get memory(): { readonly buffers: number; readonly bytes: number } {
    const { buffers, bytes } = this.#device;
    return { buffers, bytes };
  }

  /** A variable whose elements stay in a buffer of yours: steps read and write it there.
   *  @throws ShapeError unless they are float32 in a buffer that shaders can bind. */
  variable(options: BufferVariableOptions): BufferVariable {
    return new BufferVariable(this.#device, options);
  }

  /** Where shaders find the float16 copy of a variable's value: fixed from `build` on.
   *  @throws BackendError where none is kept. */
  float16(variable: Described): DeviceBuffer {
    const row = this.#rows.get(variable);
    const half = row?.isFreed ? null : row?.half;
    if (half) return half;
    throw new BackendError(
      `No float16 copy of ${variable} is kept here`,
      this.#copiesHalves ? "a variable that was not built on this backend" : "float16Copies=false",
      this.#copiesHalves ? "Build it first." : "Make the backend with float16Copies: true.",
    );
  }

  place(requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number, onProgress?: OnProgress): DeviceRow[] {
    for (const request of requests) assertPlaceable(this.#device, request);
    refuseShared(requests.filter(isInBuffer).map(({ variable }) => variable as BufferVariable));
    if (requests.length === 0) return [];
    const { state } = requests[0]!;
    const pairs = this.#pairsSlots ? pairsOf(state) : NO_PAIRS;
    assertBindable(this.#device, programs, { gradient: false, copy: this.#copiesHalves, pairs });
    const arrays = new Map<RowRequest, DeviceArrays>();
    const allocate = (own: RowRequest[], names: readonly string[]): Allocation[] => {
      if (own.length === 0) return [];
      const lengths = own.map(({ variable }) => variable.length);
      const allocation = reserve(this.#device, lengths, names, undefined, pairs);
      for (const [i, request] of own.entries()) arrays.set(request, allocation.variables[i]!);
      if (!this.#copiesHalves) return [allocation];
      const parts = allocation.variables.flatMap((variable) => variable.parts);
      const ready = Promise.all([allocation.ready, addArray(this.#device, parts, "half", 2)]);
      return [{ ...allocation, ready: ready.then(() => {}) }];
    };
    const theirs = requests.filter(isInBuffer);
    const ours = requests.filter((request) => !isInBuffer(request));
    const allocations = [...allocate(ours, ["w", ...arraysFor(state, pairs)]), ...allocate(theirs, arraysFor(state, pairs))];
    const copyHalves = this.#copiesHalves ? (row: DeviceRow) => this.#copyHalves(row) : undefined;
    const onFree = () => {
      if (--this.#placements === 0) this.#gradients.dispose(); // room for rows of any optimizer's gradients
    };
    this.#placements++;
    const placement = new Placement(allocations, requests.length, copyHalves, onFree);
    for (const request of theirs) {
      const { buffer, offset } = (request.variable as BufferVariable).place;
      const own = arrays.get(request)!;
      for (const part of own.parts) own.move(part, "w", { buffer, offset: offset + part.begin });
    }
    const total = allocations.reduce((sum, { bytes }) => sum + bytes, 0);
    onProgress?.({ bytes: total, total });
    return requests.map((request, i) => {
      const row = new DeviceRow(request, firstIndex + i, arrays.get(request)!, placement);
      this.#rows.set(request.variable, row);
      // Nobody will write it. Where its buffer is refused, every step says so.
      if (copyHalves && isInBuffer(request)) copyHalves(row).catch(() => {});
      return row;
    });
  }

  #copyHalves({ arrays, request }: DeviceRow): Promise<void> {
    const step = new DeviceStep(this.#device, [COPY], [{ learningRateMultiplier: 1, weightDecay: 0 }]);
    return this.#device.attempt(`to copy the value of ${request.variable} to float16`, () => {
      step.run([{ arrays, class: 0 }], 1, { learningRate: 0, step: 1 });
      step.dispose();
      return step.memory;
    });
  }

  checkGradient(gradient: Exclude<Gradient, null>, variable: Described): void {
    checkGradient(this.#device, gradient, variable);
  }

  compile(programs: readonly Program[], classes: readonly RowClass[]): CompiledStep {
    return new Step(this.#device, this.#gradients, programs, classes, this.#seed);
  }

  /** Frees what was made on the device, and the device unless it is yours. What is being read is read first. */
  dispose(): void {
    this.#device.dispose();
  }

  /** As of Variable. */
  get [Symbol.toStringTag](): string {
    return "WebGpuBackend";
  }
}

/** Writes every value to where it is, and by the way its copy. */
const COPY: Program = {
  dtype: "float32",
  buffers: ["w"],
  scalars: [],
  uniforms: [],
  passes: [{ nodes: [{ kind: "load", buffer: 0 }], stores: [{ buffer: 0, node: 0 }], sums: [] }],
  exposed: false,
};

const isInBuffer = ({ variable }: RowRequest): boolean => variable instanceof BufferVariable;

/** @throws BackendError for what cannot be where this thread does not see it, and for what WGSL does not have. */
const assertPlaceable = (device: Device, { variable, foreign }: RowRequest): void => {
  const refuse = (wrong: string, remedy: string): never => {
    throw new BackendError(`A GPU cannot ${wrong}`, `${variable}`, remedy);
  };
  if (variable.dtype === "float64")
    refuse("train float64: WGSL, its language, has no such numbers", "Make it of a Float32Array, or use the backend wasm.");
  if (variable.isConstrained)
    refuse("call a constraint, a function over the value", "Leave the constraint out, or use the backend wasm.");
  if (foreign && !(variable instanceof BufferVariable))
    refuse("train an array where it lies", "Pass a Variable without adopt: false, or backend.variable({ buffer, shape }).");
  if (variable instanceof BufferVariable && variable.device !== device)
    refuse("train a variable that another backend has made of a buffer", "Make it by the backend that trains it.");
};

class Step implements CompiledStep {
  readonly #device: Device;
  readonly #gradients: Gradients;
  readonly #step: DeviceStep;
  readonly #usesGradients: boolean;
  /** Of the running step: what there must be memory for, and what tells what the device has refused of it. */
  #memory: Promise<unknown> | undefined;
  #close: ReturnType<Device["watch"]> | undefined;
  /** Whether it reads or writes buffers of the caller's. */
  #isShared = false;

  constructor(device: Device, gradients: Gradients, programs: readonly Program[], classes: readonly RowClass[], seed: number) {
    this.#device = device;
    this.#gradients = gradients;
    this.#step = new DeviceStep(device, programs, classes, seed);
    this.#usesGradients = programs.some(({ buffers }) => buffers.includes("g"));
  }

  get passes(): number {
    return this.#step.passes;
  }

  begin(rows: readonly DeviceRow[], count: number, parameters: StepParameters): void {
    this.#device.assertUsable();
    this.#device.assertHeard();
    let isShared = false;
    for (let i = 0; i < count; i++) {
      const { placement, request, gradient } = rows[i]!;
      placement.assertThere();
      isShared ||= isInBuffer(request) || (gradient !== null && "buffer" in gradient && !ArrayBuffer.isView(gradient));
    }
    this.#isShared = isShared;
    const gradients = this.#usesGradients ? this.#gradients : null;
    const brought = gradients?.bring(rows, count);
    brought?.catch(() => {}); // told by `end`
    const isPlanned = this.#step.isPlanned(rows, count);
    if (isShared || this.#device.isAllocating || !isPlanned) this.#close = this.#device.watch();
    try {
      const encode = gradients ? (encoder: GPUCommandEncoder) => gradients.encode(encoder) : undefined;
      this.#step.begin(rows, count, parameters, encode, isPlanned);
      const { memory } = this.#step;
      this.#memory = brought || memory ? Promise.all([brought, memory]) : undefined;
    } catch (error) {
      void this.#close?.();
      this.#close = undefined;
      throw error;
    }
  }

  runPass(pass: number): void {
    this.#step.runPass(pass);
  }

  /** The device does that itself. */
  joinSums(): void {}

  end(): void | Promise<void> {
    this.#step.end();
    const [memory, close] = [this.#memory, this.#close];
    this.#memory = this.#close = undefined;
    if (!close) return;
    return this.#device.assertDone(this.#isShared ? "a step over buffers of yours" : null, memory, close()).catch((error) => {
      error.undone = this.#usesGradients; // its commands are one submission, which is refused as a whole
      throw error;
    });
  }

  free(): void {
    this.#step.dispose();
  }
}
