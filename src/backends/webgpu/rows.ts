/** Variables in the memory of a device, as the optimizer knows them. */

import type { DeviceBuffer, Gradient, Row, RowRequest, Values } from "../../backend.js";
import { BackendError } from "../../errors.js";
import type { Allocation, DeviceArrays, Part } from "./memory.js";
import type { StepRow } from "./table.js";

/** What was placed together: the memory goes when every row has. */
export class Placement {
  readonly #allocations: readonly Allocation[];
  #rows: number;
  readonly #onFree: () => void;
  #isFreed = false;
  #refusal: Error | undefined;
  /** Resolves when there was memory for all. */
  readonly ready: Promise<unknown>;

  /** `copyHalves`: renews the float16 copy of a value, where one is kept. `onFree`: called when the memory has gone. */
  constructor(
    allocations: readonly Allocation[],
    rows: number,
    readonly copyHalves?: (row: DeviceRow) => Promise<unknown> | undefined,
    onFree: () => void = () => {},
  ) {
    this.#allocations = allocations;
    this.#rows = rows;
    this.#onFree = onFree;
    this.ready = Promise.all(allocations.map(({ ready }) => ready));
    this.ready.catch((error) => {
      this.#refusal = error;
      this.#free(); // all or nothing
    });
  }

  /** @throws BackendError when it is known that there was no memory. */
  assertThere(): void {
    if (this.#refusal) throw this.#refusal;
  }

  release(): void {
    if (--this.#rows === 0) this.#free();
  }

  #free(): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    for (const allocation of this.#allocations) allocation.free();
    this.#onFree();
  }
}

export class DeviceRow implements Row, StepRow {
  gradient: Gradient = null;
  readonly class: number;
  #isFreed = false;

  constructor(
    readonly request: RowRequest,
    readonly index: number,
    readonly arrays: DeviceArrays,
    readonly placement: Placement,
  ) {
    this.class = request.class;
  }

  async read(array: string, begin: number, into: Values): Promise<void> {
    this.placement.assertThere();
    const reading = this.arrays.readInto(array, begin, into);
    reading.catch(() => {}); // that there is no memory says more
    await this.placement.ready.catch((error) => {
      if (!this.arrays.device.isDisposed) throw error; // what is being read then is read first
    });
    await reading;
  }

  async write(array: string, begin: number, values: Values): Promise<void> {
    this.placement.assertThere();
    const memory: (Promise<unknown> | undefined)[] = [];
    this.arrays.device.guard(() => {
      memory.push(this.arrays.write(array, begin, values as Float32Array<ArrayBuffer>));
      if (array === "w") memory.push(this.written(begin + values.length));
    });
    await Promise.all([this.placement.ready, ...memory]);
  }

  /** The value has been written up to there. What is written in pieces is written to its end. */
  written(end: number): Promise<unknown> | undefined {
    return end === this.request.variable.length ? this.placement.copyHalves?.(this) : undefined;
  }

  get isFreed(): boolean {
    return this.#isFreed;
  }

  get buffer(): DeviceBuffer {
    const part = this.#onlyPart();
    return { buffer: part.w.buffer, offset: 4 * part.w.offset, size: 4 * part.length };
  }

  /** The float16 copy of the value, where one is kept. */
  get half(): DeviceBuffer | null {
    const part = this.#onlyPart();
    const buffer = part.arena.get("half");
    return buffer ? { buffer, offset: 2 * part.offset, size: 2 * part.length } : null;
  }

  #onlyPart(): Part {
    const { variable } = this.request;
    const [part, ...more] = this.arrays.parts;
    if (part && more.length === 0) return part;
    throw new BackendError(
      `The value of ${variable} is not in one buffer: ${part ? "it is larger than what shaders can bind" : "it has no elements"}`,
      `${variable.length} elements in ${this.arrays.parts.length} buffers`,
      "Split the variable, or ask your device for a higher maxStorageBufferBindingSize.",
    );
  }

  free(): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    this.placement.release();
  }
}
