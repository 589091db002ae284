/** A WebGPU device: where it comes from, what it can hold, the shaders compiled on it, and its errors in words. */

import { BackendError } from "../../errors.js";
import type { Corrections } from "./arithmetic.js";
import { type Commands, OwnCommands } from "./commands.js";
import { neededCorrections } from "./probe.js";
import { isLost, noAdapter, noDevice, noMemory, notDone, notRead, noWebGpu, ownFault, unwatched } from "./refusals.js";
import { uploadable } from "./uploadable.js";
import { MAP_MODE_READ, USAGE } from "./usage.js";

/** Where the device comes from. Without any of the two: from `navigator.gpu`. */
export interface DeviceSource {
  /** A device of yours, to share buffers with; whoever made it destroys it. */
  readonly device?: GPUDevice;
  /** What has `requestAdapter`: in Node, `create([])` of the npm package `webgpu`. */
  readonly gpu?: GPU;
}

/** What this backend asks an adapter for: as much as it has. What WebGPU guarantees is enough for most (8, 128 MiB, 256 MiB). */
const LIMITS = ["maxStorageBuffersPerShaderStage", "maxStorageBufferBindingSize", "maxBufferSize"] as const;
export type Limits = Readonly<Record<(typeof LIMITS)[number], number>>;

/** npm `webgpu` ends the process when an object that it created is collected, also after all devices are gone. */
const keptAlive = new Set<GPU>();

/** Milliseconds after which a device that cannot be read from has said that it is lost. */
const GRACE = 200;

export class Device {
  readonly gpu: GPUDevice;
  readonly limits: Limits;
  readonly commands: Commands;
  /** Counts what dispatches that are kept do not know: arrays that have been moved from one buffer to another. */
  moves = 0;
  /** Resolves when it is known how the device computes. */
  tried: Promise<void> = Promise.resolve();
  readonly #adapter: string;
  readonly #isOwn: boolean;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #compiling = new Set<Promise<void>>();
  readonly #buffers = new Set<GPUBuffer>();
  readonly #reads = new Set<Promise<unknown>>();
  /** Until it is known whether there was memory for them. */
  readonly #allocations = new Set<Promise<void>>();
  #corrections: Corrections = { quotient: false, root: false };
  #bytes = 0;
  #fault: BackendError | undefined;
  #complaint: BackendError | undefined;
  #isLost = false;
  #isDisposed = false;

  private constructor(gpu: GPUDevice, isOwn: boolean, commands: Commands = new OwnCommands(gpu)) {
    const { vendor, architecture, description } = gpu.adapterInfo ?? {};
    this.gpu = gpu;
    this.commands = commands;
    this.limits = Object.fromEntries(LIMITS.map((name) => [name, gpu.limits[name]])) as Limits;
    this.#adapter = description || [vendor, architecture].filter(Boolean).join(" ") || "an adapter without a name";
    this.#isOwn = isOwn;
    if (isOwn)
      gpu.addEventListener("uncapturederror", ({ error }) => {
        this.#complaint ??= unwatched(error.message, this.why);
      });
    void gpu.lost.then((info) => {
      this.#isLost = true;
      this.#fault ??= isLost(info);
    });
  }

  /** `corrections`: instead of those that a trial on the device shows to be needed.
   *  @throws BackendError where there is no WebGPU or no adapter. */
  static async open(source: DeviceSource = {}, corrections?: Corrections): Promise<Device> {
    if (source.device) return Device.#on(source.device, false, corrections);
    const gpu = source.gpu ?? (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;
    if (typeof gpu?.requestAdapter !== "function") throw noWebGpu(source.gpu);
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw noAdapter();
    keptAlive.add(gpu);
    const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
    const device = await adapter.requestDevice({ label: "adamax", requiredLimits }).catch((error: Error) => {
      throw noDevice(error);
    });
    return Device.#on(device, true, corrections);
  }

  static async #on(gpu: GPUDevice, isOwn: boolean, corrections?: Corrections): Promise<Device> {
    const device = new Device(gpu, isOwn);
    device.#corrections = corrections ?? (await neededCorrections(device));
    return device;
  }

  /** A device of somebody else's, at once: integers correct its quotients and square roots, until a trial has shown whether that is needed. The
   *  bits are the same before and after. */
  static share(gpu: GPUDevice, commands: Commands): Device {
    const device = new Device(gpu, false, commands);
    device.#corrections = { quotient: true, root: true };
    device.tried = neededCorrections(device).then(
      (corrections) => {
        device.#corrections = corrections;
        device.moves++;
      },
      () => {}, // the device is lost, which shows by itself
    );
    return device;
  }

  /** Which of the device's own operations integers must correct. */
  get corrections(): Corrections {
    return this.#corrections;
  }

  /** In words: which adapter this is, and how it computes. */
  get why(): string {
    return `WebGPU on ${this.#adapter}; ${describe(this.#corrections)}`;
  }

  /** The bytes of the buffers made here that are not destroyed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Buffers made here that are not destroyed. */
  get buffers(): number {
    return this.#buffers.size;
  }

  /** @throws BackendError when the device is lost, or something failed on it since. */
  assertUsable(): void {
    if (this.#fault) throw this.#fault;
  }

  /** @throws BackendError, once, when a command was refused that may have been the caller's. */
  assertHeard(): void {
    const complaint = this.#complaint;
    this.#complaint = undefined;
    if (complaint) throw complaint;
  }

  /** Zeros. Whether there was memory for it, `allocate` tells. */
  buffer(label: string, bytes: number, usage: number): GPUBuffer {
    const buffer = this.gpu.createBuffer({ label: `adamax ${label}`, size: bytes, usage });
    this.#buffers.add(buffer);
    this.#bytes += bytes;
    return buffer;
  }

  free(buffer: GPUBuffer): void {
    if (!this.#buffers.delete(buffer)) return;
    this.commands.submit(); // what waits may use it
    this.#bytes -= buffer.size;
    buffer.destroy();
  }

  /** Calls `make`, which makes buffers of `bytes` bytes together. `ready` resolves when they are there, and rejects with BackendError when there is
   *  no memory for them: then none of them is left. What is done with them before goes through `guard`. */
  reserve<Made>(bytes: number, make: () => Made): { made: Made; ready: Promise<void> } {
    this.assertUsable();
    const before = this.#buffers.size;
    this.gpu.pushErrorScope("validation");
    this.gpu.pushErrorScope("out-of-memory");
    const made = make();
    const added = [...this.#buffers].slice(before);
    const scopes = [this.gpu.popErrorScope(), this.gpu.popErrorScope()];
    const ready = Promise.all(scopes).then(([lack, invalid]) => {
      this.assertUsable();
      const error = lack ?? invalid;
      if (!error) return;
      for (const buffer of added) this.free(buffer);
      throw noMemory(bytes, this.#bytes, error);
    });
    this.#allocations.add(ready);
    void ready.catch(() => {}).then(() => this.#allocations.delete(ready)); // whoever waits for it is told
    return { made, ready };
  }

  /** Likewise, at once or not at all. */
  async allocate<Made>(bytes: number, make: () => Made): Promise<Made> {
    const { made, ready } = this.reserve(bytes, make);
    await ready;
    return made;
  }

  /** Whether it is still unknown if there was memory for something. */
  get isAllocating(): boolean {
    return this.#allocations.size > 0;
  }

  /** Does something with buffers that may not be there: that is no bug then. */
  guard(act: () => void): void {
    if (!this.isAllocating) {
      act();
      return;
    }
    const close = this.watch();
    try {
      act();
    } finally {
      void close().then((refused) => {
        if (typeof refused === "string") this.#fault ??= this.#refused(refused);
      });
    }
  }

  /** Watches what the device refuses, from now on until the function is called that this returns, which says in the end: what was refused, or why there
   *  was no memory for it; null if all was done. */
  watch(): () => Promise<string | Error | null> {
    const allocations = [...this.#allocations];
    this.gpu.pushErrorScope("validation");
    return async () => {
      const popped = this.#popped();
      const settled = await Promise.allSettled([...allocations, ...this.#allocations]);
      const message = await popped;
      return message && (settled.find((one) => one.status === "rejected")?.reason ?? message);
    };
  }

  /** Does something with buffers that may not be there, or not be ours. Resolves when it is done, and rejects with BackendError where there was no
   *  memory for what `act` says it needs, or where the device refuses `what`. */
  async attempt(what: string, act: () => Promise<unknown> | undefined): Promise<void> {
    const close = this.watch();
    let memory: Promise<unknown> | undefined;
    try {
      memory = act();
    } catch (error) {
      void close();
      throw error;
    }
    await this.assertDone(what, memory, close());
  }

  /** Until something is done. `refused`: what `watch` says in the end. `what`: does it with buffers of the caller's; else to be refused is a bug.
   *  @throws BackendError where there was no memory, or the device refuses it. */
  async assertDone(what: string | null, memory: Promise<unknown> | undefined, refused: ReturnType<ReturnType<Device["watch"]>>) {
    await memory;
    const message = await refused;
    if (message === null) return;
    if (message instanceof Error) throw message;
    throw what === null ? this.#refused(message) : notDone(what, message);
  }

  /** A lost device shows by itself. */
  async #popped(): Promise<string | null> {
    const error = await this.gpu.popErrorScope().catch(() => null);
    return error?.message ?? null;
  }

  #refused(message: string): BackendError {
    return ownFault(`A command of adamax is refused by the GPU device`, `${this.why}\n${message}`);
  }

  /** The pipeline of a shader; compiled once. If it does not compile, `assertUsable` says so from then on. */
  pipeline(label: string, text: string): GPUComputePipeline {
    const known = this.#pipelines.get(text);
    if (known) return known;
    this.gpu.pushErrorScope("validation");
    const module = this.gpu.createShaderModule({ label, code: text });
    const pipeline = this.gpu.createComputePipeline({ label, layout: "auto", compute: { module, entryPoint: "main" } });
    this.#pipelines.set(text, pipeline);
    const compiling = this.gpu
      .popErrorScope()
      .then((error) => {
        const report = `${this.why}\n${label}: ${error?.message}\n${text}`;
        if (error) this.#fault ??= ownFault("A shader of adamax does not compile on this GPU device", report);
      })
      .catch(() => {}) // the device is lost, which shows by itself
      .finally(() => this.#compiling.delete(compiling));
    this.#compiling.add(compiling);
    return pipeline;
  }

  /** Until all that was asked of the device is done. @throws BackendError if something of it failed. */
  async settle(): Promise<void> {
    this.commands.submit();
    await Promise.all([...this.#compiling, this.gpu.queue.onSubmittedWorkDone()]);
    this.assertUsable();
    this.assertHeard();
  }

  /** Brings `data` to a buffer, after all that was asked before. */
  write(buffer: GPUBuffer, offset: number, data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): void {
    this.commands.submit();
    if (data.length > 0) this.gpu.queue.writeBuffer(buffer, offset, uploadable(data)); // Deno (2.9) ends the process over an empty array
  }

  /** A copy of `bytes` bytes of a buffer, as all calls before have left them. Multiples of 4.
   *  Rejects with BackendError when the device is lost, has no memory for the copy, or refuses to read the buffer. */
  async read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    this.assertUsable();
    if (bytes === 0) return new ArrayBuffer(0);
    const reading = this.#read(buffer, offset, bytes);
    this.#reads.add(reading);
    try {
      return await reading;
    } finally {
      this.#reads.delete(reading);
      this.#destroyIfDone();
    }
  }

  async #read(buffer: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    this.commands.submit();
    this.gpu.pushErrorScope("validation");
    this.gpu.pushErrorScope("out-of-memory");
    const staging = this.buffer("read", bytes, USAGE.mapRead | USAGE.copyTarget);
    const encoder = this.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, bytes);
    this.gpu.queue.submit([encoder.finish()]);
    const mapped = staging.mapAsync(MAP_MODE_READ);
    mapped.catch(() => {}); // what the scopes say comes first
    const lacking = this.#popped();
    const refused = this.#popped();
    try {
      const lack = await lacking;
      const message = lack ?? (await refused);
      if (message) throw notRead(message, lack !== null);
      await mapped;
      return staging.getMappedRange().slice(0);
    } catch (error) {
      if (error instanceof BackendError) throw error;
      await Promise.race([this.gpu.lost, new Promise((resolve) => setTimeout(resolve, GRACE))]); // which says more, and later on some engines
      if (this.#isLost) this.assertUsable();
      throw notRead((error as Error).message, false);
    } finally {
      this.free(staging);
    }
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  /** Frees what was made here, and the device unless it was given, once what is being read has been read. Twice is harmless. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#fault ??= new BackendError("The backend is disposed", "a use after dispose", "Make a new one.");
    this.#destroyIfDone();
  }

  #destroyIfDone(): void {
    if (!this.#isDisposed || this.#reads.size > 0) return;
    for (const buffer of [...this.#buffers]) this.free(buffer);
    this.#pipelines.clear();
    if (this.#isOwn) this.gpu.destroy();
  }
}

const describe = ({ quotient, root }: Corrections): string => {
  if (!quotient && !root) return "it rounds quotients and square roots correctly";
  const corrected = [quotient ? "quotients" : "", root ? "square roots" : ""].filter(Boolean).join(" and ");
  return `its own ${corrected} are not correctly rounded, and are corrected by integers`;
};
