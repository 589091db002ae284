/** A variable whose elements stay in a buffer of the caller's, on the caller's device. */

import type { DeviceBuffer, Values } from "../../backend.js";
import { BackendError, ShapeError, show } from "../../errors.js";
import { anything, checkKinds, type Kinds, optional } from "../../kinds.js";
import { elementsIn, UNNAMED, Variable } from "../../variable.js";
import type { Device } from "./device.js";
import { checkBuffer } from "./gradients.js";
import type { DeviceRow } from "./rows.js";
import { USAGE } from "./usage.js";

/** What a variable in a buffer is made with. */
export interface BufferVariableOptions {
  /** Of the backend's device, with GPUBufferUsage.STORAGE; to read and write it from here, with COPY_SRC and COPY_DST. */
  readonly buffer: GPUBuffer;
  /** Where the elements begin, in bytes; a multiple of 4. Default 0. */
  readonly offset?: number;
  /** Sizes of the axes, outermost first; [] for a scalar. */
  readonly shape: readonly number[];
  readonly name?: string;
}

/** Their values are checked one by one, where the name of the variable is known. */
const OPTIONS: Kinds<BufferVariableOptions> = {
  buffer: anything as never,
  offset: optional(anything, 0) as never,
  shape: anything as never,
  name: optional(anything, UNNAMED) as never,
};

/** The variables that optimizers train in a buffer now. */
const trained = new WeakMap<GPUBuffer, Set<BufferVariable>>();

/** What `WebGpuBackend.variable` makes. */
export class BufferVariable extends Variable<Float32Array> {
  /** @internal */
  readonly device: Device;
  /** @internal Where the elements begin, in elements. */
  readonly place: { readonly buffer: GPUBuffer; readonly offset: number };

  #gradient: Float32Array | undefined;
  #row: DeviceRow | undefined;

  /** @internal
   *  @throws ShapeError unless the elements are float32 in a buffer that shaders can bind. */
  constructor(device: Device, options: BufferVariableOptions) {
    const { buffer, offset, shape, name } = checkKinds("WebGpuBackend.variable", options, OPTIONS);
    if (!Array.isArray(shape) || !shape.every((size) => Number.isInteger(size) && size >= 0))
      throw new ShapeError(
        `The shape of variable ${show(name)} must be a list of sizes`,
        show(shape),
        "Pass one, such as [10, 3].",
      );
    super(new Float32Array(0), { shape: [0], name, adopt: false });
    const length = elementsIn(shape);
    Object.assign(this, { shape: [...shape], length });
    checkBuffer(device, () => `The value of ${this}`, { buffer, offset }, length);
    this.device = device;
    this.place = { buffer, offset: offset / 4 };
  }

  /** @internal */
  override get visible(): undefined {
    return undefined;
  }

  /** @throws BackendError, also to a backend that would train what is in main memory. */
  override get value(): never {
    throw new BackendError(
      `The value of ${this} is in a buffer of a GPU`,
      "variable.value, or an optimizer on another backend",
      "Await variable.read() or write(values), and train it on the backend that made it.",
    );
  }

  /** Also while no optimizer trains it. */
  override get buffer(): DeviceBuffer {
    const { buffer, offset } = this.place;
    return { buffer, offset: 4 * offset, size: 4 * this.length };
  }

  override get gradient(): Float32Array {
    this.#gradient ??= new Float32Array(this.length);
    return this.#gradient;
  }

  /** @internal Values stay where they are. */
  override adopt(adoption: Parameters<Variable["adopt"]>[0]): Promise<void> {
    const { buffer } = this.place;
    this.#row = adoption.row as DeviceRow;
    if (this.length > 0) trained.set(buffer, (trained.get(buffer) ?? new Set()).add(this));
    return super.adopt(adoption);
  }

  /** @internal */
  override release(): void {
    this.#row = undefined;
    trained.get(this.place.buffer)?.delete(this);
    super.release();
  }

  /** @internal */
  override async readInto(begin: number, into: Values): Promise<void> {
    const { buffer, offset } = this.place;
    this.#assertUsage(USAGE.copySource, "COPY_SRC", "read");
    into.set(new Float32Array(await this.device.read(buffer, 4 * (offset + begin), 4 * into.length)));
  }

  /** @internal */
  override async writeFrom(begin: number, values: Values): Promise<void> {
    const { buffer, offset } = this.place;
    this.#assertUsage(USAGE.copyTarget, "COPY_DST", "written");
    this.device.assertUsable();
    await this.device.attempt(`to write the value of ${this}`, () => {
      this.device.write(buffer, 4 * (offset + begin), values as Float32Array<ArrayBuffer>);
      return this.#row?.written(begin + values.length);
    });
  }

  #assertUsage(usage: number, name: string, done: string): void {
    if (this.place.buffer.usage & usage) return;
    throw new ShapeError(
      `The value of ${this} cannot be ${done} from here`,
      `a buffer of usage ${this.place.buffer.usage}`,
      `Make the buffer with GPUBufferUsage.${name}.`,
    );
  }
}

/** @throws ShapeError where one of these, which are to be trained, has elements in common with another, or with what is trained already: a step would
 *  write them twice. */
export const refuseShared = (variables: readonly BufferVariable[]): void => {
  const byBuffer = new Map<GPUBuffer, BufferVariable[]>();
  for (const variable of variables) {
    if (variable.length === 0) continue;
    const { buffer } = variable.place;
    byBuffer.set(buffer, [...(byBuffer.get(buffer) ?? trained.get(buffer) ?? []), variable]);
  }
  for (const together of byBuffer.values()) {
    together.sort((a, b) => a.place.offset - b.place.offset);
    for (const [i, variable] of together.slice(1).entries()) {
      const before = together[i]!;
      if (before.place.offset + before.length <= variable.place.offset) continue;
      throw new ShapeError(
        `The value of ${variable} must not lie in that of another variable in training`,
        `${before}, in the same buffer from byte ${4 * before.place.offset} on, and this one from byte ${4 * variable.place.offset} on`,
        "Train each element once.",
      );
    }
  }
};
