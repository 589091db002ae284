/** A tf.Variable as the core trains it: read and written where TensorFlow.js keeps it. */

import * as tf from "@tensorflow/tfjs-core";
import type { Values } from "../../backend.js";
import { ShapeError, show } from "../../errors.js";
import { ARRAYS } from "../../rule/program.js";
import { Variable } from "../../variable.js";
import { elementsOf, heapOf, readingCopies, renewInHeap } from "./elements.js";
import { withoutSuffix } from "./names.js";

/** What a layer applies to a weight to keep it where it belongs. */
export interface TensorConstraint {
  apply(value: tf.Tensor): tf.Tensor;
}

export class TensorVariable extends Variable {
  tensorConstraint: TensorConstraint | null = null;
  /** The name that its layer gave it, where that is known: a model beside another has a number added to its tensors' names. */
  originalName: string | null = null;
  /** The name by which a configuration that was loaded means it. */
  savedName: string | null = null;
  /** The tensor's data as this found or left them; null before it is trained. */
  #left: object | null = null;
  #located = false;
  /** What `renew` has found for `locate`. */
  #found: Values | null = null;
  #inPlace = false;
  #written = false;
  /** An array of its own for the new value, where the old one may not be written. */
  #fresh: Values | null = null;
  /** The value as this left it, where reading it from the tensor again would take a copy. */
  #own: Float32Array | null = null;

  /** @throws ShapeError for elements that are no numbers. */
  constructor(readonly tensor: tf.Variable) {
    super(stand(tensor), { shape: tensor.shape, name: tensor.name, adopt: false });
  }

  /** @internal */
  override get names(): readonly string[] {
    const { name, originalName, savedName } = this;
    return [savedName ?? name, originalName ?? withoutSuffix(name)];
  }

  /** Whether the tensor was disposed of, by itself or by tf.disposeVariables, which does not tell it. */
  get isGone(): boolean {
    const { tensor } = this;
    return tensor.isDisposed || tf.engine().registeredVariables[tensor.name] !== tensor;
  }

  /** What is assigned to the tensor from now on is by somebody else. */
  begin(): void {
    this.#left = this.tensor.dataId;
  }

  /** Whether somebody else has assigned to the tensor since. */
  get wasAssigned(): boolean {
    return this.#left !== null && !this.isGone && this.tensor.dataId !== this.#left;
  }

  /** @internal On a GPU, nothing. */
  override get visible(): Values | undefined {
    return this.#located ? super.visible : undefined;
  }

  /** @internal */
  override async readInto(begin: number, into: Values): Promise<void> {
    const values = this.#fresh ?? (this.isGone ? this.#zeros() : await this.tensor.data());
    into.set((values as Values).subarray(begin, begin + into.length));
  }

  /** @internal The tensor takes what was written when it is settled. */
  override async writeFrom(begin: number, values: Values): Promise<void> {
    if (!this.#fresh) {
      const { length, tensor } = this;
      const isWhole = values.length === length || this.isGone;
      // From a GPU, TensorFlow.js reads at once only by detours, and not everywhere.
      const before = isWhole ? null : this.#located ? tensor.dataSync() : await tensor.data();
      const fresh = this.#zeros();
      if (before) fresh.set(before);
      this.#fresh ??= fresh;
    }
    this.#written = true;
    this.#fresh.set(values, begin);
  }

  #zeros(): Values {
    return new ARRAYS[this.dtype](this.length);
  }

  /** @throws ShapeError unless a step can be made of it. */
  assertTrainable(): void {
    const { tensor } = this;
    if (tensor.dtype !== "float32")
      throw new ShapeError(
        `A tf.Variable that is trained is float32. Received: ${show(tensor.name)}, which is ${tensor.dtype}. Cast it.`,
      );
  }

  /** Whether its layer has a constraint. */
  override get isConstrained(): boolean {
    return this.tensorConstraint !== null;
  }

  /** Before `locate`, where a step will write: finds the elements. In TensorFlow.js' heap they get new room, which may detach every view of that. */
  renew(): void {
    if (this.isGone) return;
    const { tensor } = this;
    const { dataId } = tensor;
    const wasAssigned = this.#left !== dataId; // by somebody else
    const heap = heapOf(tensor);
    if (readingCopies()) {
      if (this.#own === null || wasAssigned) this.#own = elementsOf(tensor, heap).slice() as Float32Array;
      this.#found = this.#own;
      this.#inPlace = true;
      return;
    }
    this.#own = null;
    this.#inPlace = heap !== null && heap === tf.backend(); // under another backend, assigning would move it there
    this.#found = (this.#inPlace ? renewInHeap(heap!, tensor) : elementsOf(tensor, heap)) as Values;
    if (!wasAssigned) this.#left = tensor.dataId;
  }

  /** Finds the elements anew: assigning to the tensor, or growth of TensorFlow.js' heap, has moved them. A tensor that was disposed has
   *  none; what is still written to it goes nowhere. */
  locate(): void {
    const found = this.#found;
    const isGone = found === null && this.isGone; // what was found was there
    const isAttached = found !== null && found.length === this.length;
    if (isGone) this.relocate(new Float32Array(this.length));
    else this.relocate(isAttached ? found : (elementsOf(this.tensor) as Values));
    if (found === null) this.#inPlace = isGone;
    this.#found = null;
    this.#located = true;
    this.#fresh = null;
    this.#written = false;
  }

  /** Whether a step may write to `value` itself. */
  get isWritable(): boolean {
    return this.#inPlace;
  }

  /** @internal A step writes to an array that nobody has seen. */
  override get isShared(): boolean {
    return false;
  }

  /** @internal */
  override target(): Values {
    this.#written = true;
    if (this.#inPlace) return this.value;
    this.#fresh ??= new Float32Array(this.length);
    return this.#fresh;
  }

  /** Begins with these values: those of a mesh's first rank. */
  take(values: Values): void {
    this.#fresh = values as Float32Array;
    this.#written = true;
    this.settle();
  }

  /** Takes the new value from a tensor, which stays the caller's. What is still written to a tensor that was disposed goes nowhere. */
  assign(value: tf.Tensor): void {
    this.#written = true;
    if (!this.isGone) this.tensor.assign(value);
  }

  /** Somebody has written to the data that the tensor has. */
  wrote(): void {
    this.#written = true;
  }

  /** Gives the tensor what was written to an array of its own. Returns whether anything was written. */
  settle(): boolean {
    const written = this.#written;
    const fresh = this.#fresh ?? (this.#own && written && this.value === this.#own ? this.#own.slice() : null);
    if (fresh && !this.isGone) {
      const { shape, dtype } = this.tensor;
      const elements = fresh instanceof Float32Array ? fresh : WHOLE[dtype as keyof typeof WHOLE].from(fresh);
      const value = tf.engine().makeTensor(elements, shape, dtype); // tf.tensor would look at every part of it
      this.tensor.assign(value);
      value.dispose();
    }
    if (this.#fresh) {
      this.relocate(this.#fresh);
      this.#fresh = this.#own = null;
    }
    this.#written = false;
    if (written) this.#left = this.tensor.dataId;
    return written;
  }

  constrainTensor(): void {
    const { tensor, tensorConstraint } = this;
    if (!tensorConstraint || this.isGone) return;
    tf.tidy(() => tensor.assign(tensorConstraint.apply(tensor)));
    this.#left = tensor.dataId;
    this.#own = null;
  }
}

/** Numbers that are not trained, but saved with the rest. A float64 holds each of them. */
const WHOLE = { int32: Int32Array, bool: Uint8Array } as const;

/** Something of the right length, until the elements are located: on a GPU they never are.
 *  @throws ShapeError for elements that are no numbers. */
const stand = ({ dtype, size, name, isDisposed }: tf.Variable): Values => {
  if (isDisposed)
    throw new ShapeError("A tf.Variable that is trained has data", `${show(name)}, which was disposed of`, "Make it anew.");
  if (dtype === "float32") return new Float32Array(size);
  if (dtype in WHOLE) return new Float64Array(size);
  throw new ShapeError(`A weight is float32, int32 or bool. Received: ${show(name)}, which is ${dtype}. Cast it.`);
};
