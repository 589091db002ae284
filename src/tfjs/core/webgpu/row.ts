/** A tf.Variable on TensorFlow.js' webgpu backend, for the compiled step: its state lies in arenas of ours, its value and its gradient in buffers of
 *  TensorFlow.js. Large ones are used where they are. Small ones are copied to the arenas and back, so that one dispatch serves all of them. */

import * as tf from "@tensorflow/tfjs-core";
import type { Gradient, RowRequest, Values } from "../../../backend.js";
import type { DeviceArrays, Part } from "../../../backends/webgpu/memory.js";
import { DeviceRow, type Placement } from "../../../backends/webgpu/rows.js";
import { USAGE } from "../../../backends/webgpu/usage.js";
import { BackendError } from "../../../errors.js";
import type { WebgpuData, WebgpuKernels } from "../private-members.js";
import { TensorVariable } from "../variable.js";
import { assertThere, claim, writerOf } from "./inside.js";

/** Elements from which on a dispatch of its own costs less than copies do. */
const LARGE = 2 ** 15;

/** Whether value and gradient are used where they are. They are read four elements at a time. */
export const isInPlace = (length: number): boolean => length >= LARGE && length % 4 === 0;

/** What the program of a step does with the arrays that are not ours. */
export interface Touched {
  readonly loadsValue: boolean;
  readonly storesValue: boolean;
  readonly loadsGradient: boolean;
}

export const tensorOf = (gradient: Gradient): tf.Tensor | null => {
  const buffer = gradient && "buffer" in gradient ? gradient.buffer : null;
  return buffer instanceof tf.Tensor ? buffer : null;
};

export class TensorRow extends DeviceRow {
  readonly variable: TensorVariable;
  readonly #isInPlace: boolean;
  /** The value before the step. null: its variable was disposed of. */
  #source: GPUBuffer | null = null;
  /** The buffer whose elements are in our arena too, as long as nobody else writes to it. */
  #resident: GPUBuffer | null = null;
  /** The value after it: in the same buffer, or in another one where others hold that. */
  #target: WebgpuData | null = null;
  #gradient: GPUBuffer | null = null;
  /** A copy of the gradient, where that consists of integers. */
  #converted: tf.Tensor | null = null;
  /** Whether this step uses a buffer of the user's, who may write to it or destroy it when the call has returned. */
  #usesLent = false;
  /** For a variable that is used in place: zeros for a gradient that it does not have, and room for a value that went. */
  readonly #spare = new Map<"w" | "g", GPUBuffer>();

  constructor(
    request: RowRequest,
    index: number,
    arrays: DeviceArrays,
    placement: Placement,
    readonly inside: WebgpuKernels,
  ) {
    super(request, index, arrays, placement);
    this.variable = variableOf(request);
    this.#isInPlace = isInPlace(this.length);
  }

  get length(): number {
    return this.request.variable.length;
  }

  override async read(name: string, begin: number, into: Values): Promise<void> {
    assertThere(this.inside);
    await (name === "w" ? this.variable.readInto(begin, into) : super.read(name, begin, into));
    await this.arrays.device.commands.made(); // else the state of a step that was not made would be saved
  }

  override async write(name: string, begin: number, values: Values): Promise<void> {
    assertThere(this.inside);
    await (name === "w" ? this.variable.writeFrom(begin, values) : super.write(name, begin, values));
  }

  override free(): void {
    for (const buffer of this.#spare.values()) this.arrays.device.free(buffer);
    this.#spare.clear();
    super.free();
  }

  /** Before a step: the gradient is on the GPU, in TensorFlow.js' queue. First for all variables: it may be the value of another one. */
  prepareGradient({ loadsGradient }: Touched): void {
    const gradient = loadsGradient ? tensorOf(this.gradient) : null;
    this.#gradient = gradient && this.#gradientOnDevice(gradient);
  }

  /** Likewise the value, and there is room for the new one. Until the passes of the step, the value is what it was. */
  prepareValue({ storesValue }: Touched): void {
    const { variable } = this;
    const { tensor } = variable;
    if (variable.isGone) this.#source = this.#target = null;
    else {
      let data = this.#onDevice(tensor);
      if (data.dtype !== "float32") {
        tf.tidy(() => this.#replace(inFloats(tensor)));
        data = this.#onDevice(tensor);
      }
      this.#source = data.resource!;
      if (writerOf(data) !== this) this.#resident = null;
      this.#target = storesValue && (data.refCount > 1 || data.external) ? this.#renew(data.resource!) : data;
    }
  }

  #gradientOnDevice(gradient: tf.Tensor): GPUBuffer {
    const { dtype, resource } = this.#onDevice(gradient);
    if (dtype === "float32") return resource!;
    this.#converted = tf.tidy(() => tf.keep(inFloats(gradient)));
    return this.#onDevice(this.#converted).resource!;
  }

  /** Gives the variable data of its own, with the elements that it has. Those stay as they are, for others who hold them. */
  #renew(elements: GPUBuffer): WebgpuData {
    const { inside, variable } = this;
    const { commands } = this.arrays.device;
    const info = inside.makeTensorInfo(variable.tensor.shape, "float32");
    inside.uploadToGPU(info.dataId);
    const { resource } = inside.tensorMap.get(info.dataId);
    commands.encoder().copyBufferToBuffer(elements, 0, resource!, 0, 4 * this.length);
    const fresh = tf.engine().makeTensorFromTensorInfo(info, inside);
    this.#replace(fresh);
    fresh.dispose();
    return inside.tensorMap.get(info.dataId);
  }

  /** Other data with the same elements: nobody has assigned to the variable, or as before. */
  #replace(value: tf.Tensor): void {
    const { tensor, wasAssigned } = this.variable;
    tensor.assign(value);
    if (!wasAssigned) this.variable.begin();
  }

  #onDevice({ dataId }: tf.Tensor): WebgpuData {
    const { inside } = this;
    let data = inside.tensorMap.get(dataId);
    if (!data.resource) {
      inside.uploadToGPU(dataId);
      data = inside.tensorMap.get(dataId);
    }
    if (data.external) this.#usesLent = true;
    return data;
  }

  /** What comes before the passes. */
  bring(encoder: GPUCommandEncoder, touched: Touched): void {
    if (this.#isInPlace) this.#bringInPlace(encoder, touched);
    else this.#bringToArena(encoder, touched);
  }

  #bringInPlace(encoder: GPUCommandEncoder, { loadsGradient }: Touched): void {
    const value = this.#target?.resource ?? this.#spareOf("w");
    const gradient = loadsGradient ? this.#gradientApart(encoder) : null;
    for (const part of this.arrays.parts) {
      this.arrays.move(part, "w", { buffer: value, offset: part.begin });
      if (gradient) this.arrays.move(part, "g", { buffer: gradient, offset: part.begin });
    }
  }

  /** The gradient where no step writes to. */
  #gradientApart(encoder: GPUCommandEncoder): GPUBuffer {
    const gradient = this.#gradient;
    if (gradient && !(tensorOf(this.gradient) instanceof tf.Variable)) return gradient;
    const spare = this.#spareOf("g");
    if (gradient) encoder.copyBufferToBuffer(gradient, 0, spare, 0, 4 * this.length);
    else encoder.clearBuffer(spare);
    return spare;
  }

  #bringToArena(encoder: GPUCommandEncoder, { loadsValue, loadsGradient }: Touched): void {
    const { parts } = this.arrays;
    if (loadsValue && this.#source && this.#source !== this.#resident) {
      copyIn(encoder, this.#source, parts, "w");
      this.#resident = null;
    }
    if (!loadsGradient) return;
    if (this.#gradient) copyIn(encoder, this.#gradient, parts, "g");
    else for (const { g, length } of parts) encoder.clearBuffer(g.buffer, 4 * g.offset, 4 * length);
  }

  /** What comes after them. */
  take(encoder: GPUCommandEncoder, { storesValue }: Touched): void {
    const target = this.#target;
    if (storesValue && target && !this.#isInPlace)
      for (const { w, begin, length } of this.arrays.parts)
        encoder.copyBufferToBuffer(w.buffer, 4 * w.offset, target.resource!, 4 * begin, 4 * length);
  }

  /** After the step has been encoded. Returns whether it must be submitted at once. */
  settle({ storesValue }: Touched): boolean {
    if (storesValue) {
      this.variable.wrote();
      this.#resident = this.#target?.resource ?? null;
      if (this.#target) claim(this.#target, this);
    }
    return this.release();
  }

  /** Nothing is held any more for this step. Returns the same. */
  release(): boolean {
    this.#converted?.dispose();
    this.#converted = this.#source = this.#target = this.#gradient = null;
    const usedLent = this.#usesLent;
    this.#usesLent = false;
    return usedLent;
  }

  #spareOf(array: "w" | "g"): GPUBuffer {
    let buffer = this.#spare.get(array);
    if (!buffer) {
      buffer = this.arrays.device.buffer(`spare ${array}`, 4 * this.length, USAGE.storage | USAGE.copyTarget);
      this.#spare.set(array, buffer);
    }
    return buffer;
  }
}

/** A product, and not a cast: that would say float32 of the integers. */
const inFloats = (tensor: tf.Tensor): tf.Tensor => tf.mul(tf.cast(tensor, "float32"), tf.scalar(1));

const variableOf = ({ foreign, variable }: RowRequest): TensorVariable => {
  if (foreign instanceof TensorVariable) return foreign;
  throw new BackendError("TensorFlow.js' GPU trains tf.Variables", `${variable}`, "Pass tf.Variables.");
};

const copyIn = (encoder: GPUCommandEncoder, from: GPUBuffer, parts: readonly Part[], array: "w" | "g"): void => {
  for (const part of parts)
    encoder.copyBufferToBuffer(from, 4 * part.begin, part[array].buffer, 4 * part[array].offset, 4 * part.length);
};
