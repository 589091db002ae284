/** What gradients a device takes, and how they get to where a step reads them: buffers are read where they are, arrays are brought to the arenas. */

import type { Described, DeviceGradient, Gradient } from "../../backend.js";
import { nearest, ShapeError, show } from "../../errors.js";
import { IndexedSlices } from "../../indexed-slices.js";
import { wordsFor } from "../../rule/program.js";
import { checkGradient as checkArray } from "../cpu/gradients.js";
import type { Device } from "./device.js";
import { addArray, type Part, type Place } from "./memory.js";
import type { DeviceRow } from "./rows.js";
import { Scatter } from "./sparse.js";
import { Uploads } from "./uploads.js";
import { USAGE } from "./usage.js";

/** A gradient in a buffer of the caller's. */
interface InBuffer extends DeviceGradient {
  readonly buffer: GPUBuffer;
}

const isInBuffer = (gradient: unknown): gradient is InBuffer =>
  typeof gradient === "object" && gradient !== null && "buffer" in gradient && !ArrayBuffer.isView(gradient);

/** @throws ShapeError unless `gradient` has as many elements as the variable, or names rows of it. */
export const checkGradient = (device: Device, gradient: Exclude<Gradient, null>, variable: Described): void => {
  if (isInBuffer(gradient)) checkBuffer(device, () => `The gradient of ${variable}`, gradient, variable.length);
  else if (isBuffer(gradient))
    throw new ShapeError(`The gradient of ${variable} is a bare GPUBuffer`, show(gradient), "Pass { buffer, offset }.");
  else checkArray(gradient, variable);
};

const isBuffer = (buffer: unknown): buffer is GPUBuffer =>
  typeof buffer === "object" && buffer !== null && "usage" in buffer && "mapState" in buffer;

/** What never changes of a buffer. To ask the device's own objects takes longer than all else that a step does for a variable. */
const facts = new WeakMap<object, { readonly usage: number; readonly size: number }>();
const factsOf = (given: DeviceGradient): { readonly usage: number; readonly size: number } | null => {
  const { buffer } = given;
  const known = typeof buffer === "object" && buffer !== null && facts.get(buffer);
  if (known) return known;
  if (!isBuffer(buffer)) return null;
  refuseUnknown(given); // a name that is misspelt is so from the first time on
  const { usage, size } = buffer;
  facts.set(buffer, { usage, size });
  return { usage, size };
};

const NAMES: readonly (keyof DeviceGradient)[] = ["buffer", "offset", "dtype", "size"];
const refuseUnknown = (given: DeviceGradient): void => {
  for (const [name, value] of Object.entries(given)) {
    if (NAMES.includes(name as never)) continue;
    const near = nearest(name, NAMES);
    const remedy = near ? `Did you mean ${near}?` : `It takes ${NAMES.join(", ")}.`;
    throw new ShapeError("A gradient in a buffer has no such property", `${name}=${show(value)}`, remedy);
  }
};

/** @throws ShapeError unless so many elements can be bound there. `what` begins the message. */
export const checkBuffer = ({ limits }: Device, what: () => string, given: DeviceGradient, length: number): void => {
  const { offset = 0, dtype = "float32", size } = given;
  const found = factsOf(given);
  const bytes = dtype === "float16" ? 2 : 4;
  const isFit =
    found &&
    found.usage & USAGE.storage &&
    (bytes === 2 || dtype === "float32") &&
    Number.isInteger(offset) &&
    offset >= 0 &&
    offset % bytes === 0 &&
    (size === undefined || size >= bytes * length) &&
    offset + bytes * length <= found.size - (found.size % 4) &&
    found.size <= limits.maxStorageBufferBindingSize;
  if (!isFit) refuseBuffer(what(), given, length, limits.maxStorageBufferBindingSize);
};

const refuseBuffer = (what: string, given: DeviceGradient, length: number, most: number): never => {
  const { buffer, offset = 0, dtype = "float32", size: range } = given;
  const because = (wrong: string, received: string, remedy: string) => new ShapeError(`${what} ${wrong}`, received, remedy);
  const bytes = dtype === "float16" ? 2 : 4;
  const found = factsOf(given);
  if (!found) throw because("must be in a GPUBuffer", show(buffer), "Pass { buffer, offset }, or an array.");
  const { usage, size } = found;
  if (!(usage & USAGE.storage))
    throw because(
      "must be in a buffer that shaders can bind",
      `a buffer of usage ${usage}`,
      "Make it with GPUBufferUsage.STORAGE.",
    );
  if (dtype !== "float32" && dtype !== "float16")
    throw because(
      "must be of float32 or float16",
      `dtype ${show(dtype)}`,
      'Pass { buffer, offset, dtype: "float16" } for halves.',
    );
  if (!(Number.isInteger(offset) && offset >= 0 && offset % bytes === 0))
    throw because(`must begin at a multiple of ${bytes} bytes`, `offset ${show(offset)}`, "Correct the offset.");
  if (size > most)
    throw because(
      "must be in a buffer that shaders can bind as a whole",
      `${size} bytes; maxStorageBufferBindingSize is ${most}`,
      "Ask your device for a higher limit, or use several buffers.",
    );
  if (offset + bytes * length <= size && (range === undefined || range >= bytes * length))
    throw because(
      "ends in half a word, of which shaders can bind none",
      `a buffer of ${size} bytes`,
      "Make it of a multiple of 4.",
    );
  throw because(
    `must be ${length} ${dtype} numbers, ${bytes * length} bytes`,
    `a buffer of ${size} bytes, from byte ${offset} on${range === undefined ? "" : `, of which size names ${show(range)}`}`,
    "Correct the offset, or pass the buffer that holds them.",
  );
};

/** Brings the gradients of a step to where it reads them. */
export class Gradients {
  readonly #device: Device;
  readonly #uploads: Uploads;
  readonly #scatter: Scatter;
  /** Of the step that begins. */
  readonly #zeros: Place[] = [];
  readonly #lengths: number[] = [];
  readonly #copies: { from: Place; to: Place; length: number }[] = [];
  /** Of the last step that was asked for them: the buffers that its rows write, as long as nothing moves. */
  #written: Written = new Set();
  #rows: readonly DeviceRow[] = [];
  #moves = 0;

  constructor(device: Device) {
    this.#device = device;
    this.#uploads = new Uploads(device.gpu.queue);
    this.#scatter = new Scatter(device);
  }

  /** Before a step over `rows[0..count)`. What it returns resolves when there was memory for what it needed.
   *  @throws ShapeError where a gradient lies where the same step writes. */
  bring(rows: readonly DeviceRow[], count: number): Promise<unknown> | undefined {
    const written = this.#writtenWithGradients(rows, count);
    const added = this.#makeRoom(rows, count, written);
    this.#device.guard(() => this.#gather(rows, count, written));
    const grown = this.#scatter.flush();
    return added || grown ? Promise.all([added, grown]) : undefined;
  }

  /** Uploads what comes from main memory, and lists what is to be encoded. */
  #gather(rows: readonly DeviceRow[], count: number, written: Written | null): void {
    this.#zeros.length = this.#lengths.length = this.#copies.length = 0;
    for (let i = 0; i < count; i++) {
      const { arrays, gradient, request } = rows[i]!;
      const isSparse = gradient instanceof IndexedSlices;
      for (const part of arrays.parts) {
        if (isInBuffer(gradient)) {
          const isHalf = gradient.dtype === "float16";
          const offset = (gradient.offset ?? 0) / (isHalf ? 2 : 4) + part.begin;
          if (!written?.has(gradient.buffer)) {
            arrays.moveTo(part, "g", gradient.buffer, offset, isHalf);
            continue;
          }
          this.#copies.push({ from: { buffer: gradient.buffer, offset }, to: own(part), length: part.length });
        } else if (gradient === null || isSparse) {
          this.#zeros.push(own(part));
          this.#lengths.push(part.length);
        } else this.#uploads.add(own(part), (gradient as Float32Array).subarray(part.begin, part.begin + part.length));
        arrays.move(part, "g", own(part));
      }
      if (isSparse) this.#scatter.add(arrays.parts, gradient, request.variable);
    }
    this.#uploads.flush();
  }

  /** What has to be done on the device before the step. */
  encode(encoder: GPUCommandEncoder): void {
    for (const [i, { buffer, offset }] of this.#zeros.entries()) encoder.clearBuffer(buffer, 4 * offset, 4 * this.#lengths[i]!);
    for (const { from, to, length } of this.#copies)
      encoder.copyBufferToBuffer(from.buffer, 4 * from.offset, to.buffer, 4 * to.offset, 4 * length);
    this.#scatter.encode(encoder);
  }

  dispose(): void {
    this.#rows = [];
    this.#scatter.dispose();
  }

  /** The buffers that the step writes, where a gradient lies in one; else null.
   *  @throws ShapeError where one lies in the value or the state of a variable of the same call. */
  #writtenWithGradients(rows: readonly DeviceRow[], count: number): Written | null {
    let any = false;
    for (let i = 0; i < count; i++) any ||= isInBuffer(rows[i]!.gradient);
    if (!any) return null;
    let isKnown = count === this.#rows.length && this.#moves === this.#device.moves;
    for (let i = 0; i < count; i++) isKnown &&= rows[i] === this.#rows[i];
    if (!isKnown) {
      this.#rows = rows.slice(0, count);
      this.#moves = this.#device.moves;
      this.#written = writtenBuffers(this.#rows);
    }
    return holdsGradient(this.#written, rows, count) ? this.#written : null;
  }

  /** Arrays for gradients that are brought, made when the first is. */
  #makeRoom(rows: readonly DeviceRow[], count: number, written: Written | null): Promise<void> | undefined {
    const lacking: Part[] = [];
    for (let i = 0; i < count; i++) {
      const { arrays, gradient } = rows[i]!;
      const isThere = isInBuffer(gradient) && !written?.has(gradient.buffer);
      if (!isThere) for (const part of arrays.parts) if (!part.arena.has("g")) lacking.push(part);
    }
    return lacking.length > 0 ? addArray(this.#device, lacking, "g") : undefined;
  }
}

/** Where a gradient is brought to. */
const own = (part: Part): Place => ({ buffer: part.arena.get("g")!, offset: part.offset });

/** The buffers that a step writes: a shader cannot read them as gradients too. */
type Written = ReadonlySet<object>;

const writtenBuffers = (rows: readonly DeviceRow[]): Written => {
  const written = new Set<object>();
  let [lastArena, lastW]: [object?, object?] = [];
  for (const { arrays } of rows)
    for (const { arena, w } of arrays.parts) {
      if (w.buffer !== lastW) written.add(w.buffer);
      if (arena !== lastArena) for (const [name, buffer] of arena) if (name !== "g") written.add(buffer);
      [lastArena, lastW] = [arena, w.buffer];
    }
  return written;
};

/** @throws ShapeError where a gradient lies in the value or the state of a variable of the same call, or cannot be copied from there. */
const holdsGradient = (written: Written, rows: readonly DeviceRow[], count: number): boolean => {
  let overlapping = false;
  let lastApart: object | undefined; // gradients often share a buffer
  for (let i = 0; i < count; i++) {
    const row = rows[i]!;
    const { gradient } = row;
    if (!isInBuffer(gradient) || gradient.buffer === lastApart) continue;
    if (!written.has(gradient.buffer)) {
      lastApart = gradient.buffer;
      continue;
    }
    overlapping = true;
    for (let k = 0; k < count; k++) refuseOverlap(row, gradient, rows[k]!);
    if (gradient.dtype === "float16")
      throw new ShapeError(
        `The float16 gradient of ${row.request.variable} must not lie in a buffer that the same step writes to`,
        "{ buffer } of a value",
        "Keep gradients in a buffer of their own.",
      );
    if (!(gradient.buffer.usage & USAGE.copySource))
      throw new ShapeError(
        `The gradient of ${row.request.variable} lies in a buffer that this step writes to, so that it must be copied`,
        `a buffer of usage ${gradient.buffer.usage}`,
        "Make it with GPUBufferUsage.COPY_SRC, or keep gradients and values in buffers of their own.",
      );
  }
  return overlapping;
};

const refuseOverlap = ({ request }: DeviceRow, { buffer, offset = 0, dtype }: InBuffer, other: DeviceRow): void => {
  const end = offset + (dtype === "float16" ? 2 : 4) * request.variable.length;
  for (const { arena, w, length, offset: own } of other.arrays.parts) {
    const overlaps = (begin: number) => 4 * begin < end && offset < 4 * (begin + length);
    const array = [...arena].find(([name, held]) => name !== "g" && held === buffer && overlaps(own))?.[0];
    const name = w.buffer === buffer && overlaps(w.offset) ? "w" : array;
    if (name === undefined) continue;
    throw new ShapeError(
      `The gradient of ${request.variable} must not lie where the step writes`,
      `{ buffer, offset: ${offset} } in ${wordsFor(name)} of ${other.request.variable}`,
      "Pass a copy.",
    );
  }
};
