/** A variable whose elements stay in a buffer of the caller's, on the caller's device. */

import type { DeviceBuffer, Values } from "../../backend.js";
import { ShapeError, show } from "../../errors.js";
import { elementsIn, Variable } from "../../variable.js";
import type { Device } from "./device.js";
import { checkBuffer } from "./gradients.js";
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

/** What `WebGpuBackend.variable` makes. */
export class BufferVariable extends Variable<Float32Array> {
  /** @internal */
  readonly device: Device;
  /** @internal Where the elements begin, in elements. */
  readonly place: { readonly buffer: GPUBuffer; readonly offset: number };

  #gradient: Float32Array | undefined;

  /** @internal
   *  @throws ShapeError unless the elements are float32 in a buffer that shaders can bind. */
  constructor(device: Device, { buffer, offset = 0, shape, name = "variable" }: BufferVariableOptions) {
    if (!Array.isArray(shape) || !shape.every((size) => Number.isInteger(size) && size >= 0))
      throw new ShapeError(
        `The shape of variable ${show(name)} must be a list of sizes`,
        show(shape),
        "Pass one, such as [10, 3].",
      );
    super(new Float32Array(0), { shape: [0], name });
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
  override takeBack(): void {}

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
    this.device.write(buffer, 4 * (offset + begin), values as Float32Array<ArrayBuffer>);
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
