/** Brings the listed rows of IndexedSlices to a device, where they are laid into gradients of zeros: one upload for a step, and a dispatch for each
 *  arena that has some. */

import type { Described, SparseGradient } from "../../backend.js";
import type { Device } from "./device.js";
import type { Part } from "./memory.js";
import { THREADS } from "./norms.js";
import { USAGE } from "./usage.js";

/** Elements that a workgroup brings at most. */
const PIECE = 1024;
/** Words of a piece: where its elements go, where they are in the upload, and how many they are. */
const WORDS = 3;
const MOST_WORKGROUPS = 65535;
const SECTION_WORDS = 64; // bindings begin on 256 bytes
/** Bind groups that are kept: where several arenas have rows, it depends on their number where the second one's begin. */
const MOST_KEPT = 64;

const SCATTER = /* wgsl */ `
@group(0) @binding(0) var<storage, read> upload: array<u32>;
@group(0) @binding(1) var<storage, read_write> gradient: array<u32>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let piece = group.x + group.y * ${MOST_WORKGROUPS}u;
  if (piece >= upload[0]) { return; }
  let at = 1u + ${WORDS}u * piece;
  for (var i = thread; i < upload[at + 2u]; i += ${THREADS}u) { gradient[upload[at] + i] = upload[upload[at + 1u] + i]; }
}
`;

/** What goes to one arena, or as much of it as a shader can bind. */
interface Section {
  readonly target: GPUBuffer;
  /** The words of its pieces, places in the upload being counted from the first of its values. */
  readonly pieces: number[];
  readonly values: Float32Array[];
  elements: number;
}

export class Scatter {
  readonly #device: Device;
  readonly #sections: Section[] = [];
  /** That which is filled now, for each arena. */
  readonly #open = new Map<GPUBuffer, Section>();
  #words = new Uint32Array(0);
  #upload: GPUBuffer | undefined;
  #dispatches: { target: GPUBuffer; offset: number; pieces: number }[] = [];
  #bindGroups = new Map<string, { target: GPUBuffer; bindGroup: GPUBindGroup }>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Rows of a variable, for its gradient's own arrays. They are copied before this returns. */
  add(parts: readonly Part[], slices: SparseGradient, { shape, length }: Described): void {
    const rowSize = length / (shape[0] || 1);
    if (rowSize === 0) return;
    for (const { row, values } of summed(slices, rowSize))
      for (const part of parts) {
        const begin = Math.max(row * rowSize, part.begin);
        const end = Math.min((row + 1) * rowSize, part.begin + part.length);
        if (begin < end) this.#addPieces(part, begin, values.subarray(begin - row * rowSize, end - row * rowSize));
      }
  }

  #addPieces({ arena, offset, begin: partBegin }: Part, begin: number, values: Float32Array): void {
    const target = arena.get("g")!;
    for (let i = 0; i < values.length; i += PIECE) {
      const piece = values.length > PIECE ? values.subarray(i, i + PIECE) : values;
      const section = this.#sectionFor(target, piece.length);
      section.pieces.push(offset - partBegin + begin + i, section.elements, piece.length);
      section.values.push(piece);
      section.elements += piece.length;
    }
  }

  /** One with room for a piece of so many elements. */
  #sectionFor(target: GPUBuffer, length: number): Section {
    const open = this.#open.get(target);
    const words = open ? 1 + open.pieces.length + WORDS + open.elements + length : 0;
    if (open && 4 * inSections(words) <= this.#device.limits.maxStorageBufferBindingSize) return open;
    const section = { target, pieces: [], values: [], elements: 0 };
    this.#sections.push(section);
    this.#open.set(target, section);
    return section;
  }

  /** Enqueues the upload. What it returns resolves when there was memory for it. */
  flush(): Promise<void> | undefined {
    this.#dispatches = [];
    if (this.#sections.length === 0) return undefined;
    let words = 0;
    for (const { pieces, elements } of this.#sections) words += inSections(1 + pieces.length + elements);
    const most = Math.max(words, this.#device.limits.maxBufferSize / 4);
    if (this.#words.length < words) this.#words = new Uint32Array(Math.min(2 ** Math.ceil(Math.log2(words)), most));
    const floats = new Float32Array(this.#words.buffer);
    let at = 0;
    for (const { target, pieces, values, elements } of this.#sections) {
      const count = pieces.length / WORDS;
      const first = 1 + pieces.length;
      this.#words[at] = count;
      for (const [i, word] of pieces.entries()) this.#words[at + 1 + i] = i % WORDS === 1 ? first + word : word;
      let place = at + first;
      for (const own of values) {
        floats.set(own, place);
        place += own.length;
      }
      this.#dispatches.push({ target, offset: 4 * at, pieces: count });
      at += inSections(first + elements);
    }
    this.#sections.length = 0;
    this.#open.clear();
    const grown = this.#reserve(this.#words.byteLength);
    this.#device.guard(() => this.#device.write(this.#upload!, 0, this.#words.subarray(0, words)));
    return grown;
  }

  encode(encoder: GPUCommandEncoder): void {
    if (this.#dispatches.length === 0) return;
    const pipeline = this.#device.pipeline("rows of gradients", SCATTER);
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    for (const { target, offset, pieces } of this.#dispatches) {
      pass.setBindGroup(0, this.#bindGroup(pipeline, target, offset));
      pass.dispatchWorkgroups(Math.min(pieces, MOST_WORKGROUPS), Math.ceil(pieces / MOST_WORKGROUPS));
    }
    pass.end();
  }

  dispose(): void {
    if (this.#upload) this.#device.free(this.#upload);
    this.#upload = undefined;
    this.#bindGroups.clear();
  }

  /** Those of the last steps are kept: mostly, the same variables have rows again. */
  #bindGroup(pipeline: GPUComputePipeline, target: GPUBuffer, offset: number): GPUBindGroup {
    const key = `${this.#dispatches.length} ${offset}`;
    const known = this.#bindGroups.get(key);
    if (known?.target === target) return known.bindGroup;
    if (this.#bindGroups.size >= MOST_KEPT) this.#bindGroups.clear();
    const upload = this.#upload!;
    const size = Math.min(upload.size - offset, this.#device.limits.maxStorageBufferBindingSize);
    const bindGroup = this.#device.gpu.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: { buffer: upload, offset, size } },
        { binding: 1, resource: { buffer: target } },
      ],
    });
    this.#bindGroups.set(key, { target, bindGroup });
    return bindGroup;
  }

  #reserve(bytes: number): Promise<void> | undefined {
    if (this.#upload && this.#upload.size >= bytes) return undefined;
    this.dispose();
    const { made, ready } = this.#device.reserve(bytes, () =>
      this.#device.buffer("rows of gradients", bytes, USAGE.storage | USAGE.copyTarget),
    );
    this.#upload = made;
    ready.catch(() => {
      if (this.#upload === made) this.dispose();
    });
    return ready;
  }
}

const inSections = (words: number): number => Math.ceil(words / SECTION_WORDS) * SECTION_WORDS;

/** Each row that is listed, once; where it is listed several times, their sum in the order given. As on CPUs, sums begin with 0: a -0 becomes 0. */
const summed = function* (
  { values, indices }: SparseGradient,
  rowSize: number,
): Generator<{ row: number; values: Float32Array }> {
  const order = Int32Array.from(indices, (_, place) => place).sort((a, b) => indices[a]! - indices[b]! || a - b);
  for (let i = 0; i < order.length; ) {
    const row = indices[order[i]!]!;
    const sum = new Float32Array(rowSize);
    for (; i < order.length && indices[order[i]!] === row; i++) {
      const first = order[i]! * rowSize;
      for (let k = 0; k < rowSize; k++) sum[k]! += values[first + k]!;
    }
    yield { row, values: sum };
  }
};
