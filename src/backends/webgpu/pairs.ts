/** Slots in bfloat16, two in a word: half of their bytes. A bfloat16 is the upper half of a float32.
 *
 *  What a step stores is rounded at random, up as often as it is nearer to there: rounded to the nearest, a slot that changes by less than half of
 *  a last place would never change. The random numbers are a hash of (seed, element, step), so that a training that is resumed has the same ones. */

import { wordsFor } from "../../rule/program.js";
import type { Device } from "./device.js";
import { USAGE } from "./usage.js";

/** Where a slot is: the array that its words are in, and which half of them. */
interface Half {
  readonly array: string;
  readonly isLower: boolean;
}
/** By the name of the slot. */
export type Pairs = ReadonlyMap<string, Half>;
export const NO_PAIRS: Pairs = new Map();

/** Two slots and two in their order, among these arrays of state. One that is left over stays float32, as all else does. */
export const pairsOf = (state: readonly string[]): Pairs => {
  const slots = state.filter((name) => name.startsWith("slot:"));
  const pairs = new Map<string, Half>();
  for (let i = 0; i + 1 < slots.length; i += 2) {
    const two = slots.slice(i, i + 2);
    const array = two.map(wordsFor).join(" and ");
    for (const [place, name] of two.entries()) pairs.set(name, { array, isLower: place === 1 });
  }
  return pairs;
};

/** The arrays that these lie in, each once. */
export const arraysFor = (state: readonly string[], pairs: Pairs): string[] => [
  ...new Set(state.map((name) => pairs.get(name)?.array ?? name)),
];

/** The number that the random numbers of a step come of. `seed`, `step`: integers from 0. */
export const keyOf = (seed: number, step: number): number => scrambled((scrambled(seed) + step) >>> 0);

/** Of the random numbers of a row's elements, the first one's: they go on by one. `row`: its place in build order. */
export const firstElement = (row: number): number => Math.imul(row, 0x9e3779b1) >>> 0;

/** A hash whose every bit depends on every bit of x. Multipliers by Chris Wellons, "Prospecting for Hash Functions". */
const scrambled = (x: number): number => {
  const one = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  const other = Math.imul(one ^ (one >>> 15), 0x846ca68b);
  return (other ^ (other >>> 16)) >>> 0;
};

/** It needs arithmetic.ts. */
export const PAIRS = /* wgsl */ `
fn upperOf(word: Bits) -> Bits { return word & Bits(0xffff0000u); }
fn lowerOf(word: Bits) -> Bits { return word << Bits(16u); }
fn scrambled(x: Bits) -> Bits {
  let one = (x ^ (x >> Bits(16u))) * Bits(0x7feb352du);
  let other = (one ^ (one >> Bits(15u))) * Bits(0x846ca68bu);
  return other ^ (other >> Bits(16u));
}
// To the next bfloat16 above or below; random: 16 bits.
fn atRandom(x: Bits, random: Bits) -> Bits { return select(x + random, NOT_A_NUMBER, isNaN(x)) & Bits(0xffff0000u); }
`;

/** Makes float32 of the halves of these words. */
export const widen = (words: Uint32Array<ArrayBuffer>, isLower: boolean): Float32Array<ArrayBuffer> => {
  for (let i = 0; i < words.length; i++) words[i] = isLower ? words[i]! << 16 : words[i]! & 0xffff0000;
  return new Float32Array(words.buffer);
};

const THREADS = 64;
const WORKGROUPS = 1024;
/** Elements that are written at once: 4 MiB. */
const PIECE = 2 ** 20;

/** Writes one half of words, after all that was asked before: the nearest bfloat16, of two that are as near the even one. */
const WRITE = /* wgsl */ `
struct Written { first: u32, count: u32, isLower: u32, unused: u32, values: array<u32> }
@group(0) @binding(0) var<storage, read> written: Written;
@group(0) @binding(1) var<storage, read_write> words: array<u32>;
@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
  for (var i = thread.x; i < written.count; i += ${THREADS * WORKGROUPS}u) {
    let x = written.values[i];
    let isNaN = (x & 0x7fffffffu) > 0x7f800000u;
    let half = select((x + 0x7fffu + ((x >> 16u) & 1u)) >> 16u, 0x7fc0u, isNaN);
    let word = words[written.first + i];
    words[written.first + i] = select((word & 0xffffu) | (half << 16u), (word & 0xffff0000u) | half, written.isLower == 1u);
  }
}
`;

/** From element `first` of `words` on. What it returns resolves when there was memory for each piece. */
export const writeHalf = (
  device: Device,
  words: GPUBuffer,
  first: number,
  isLower: boolean,
  values: Float32Array<ArrayBuffer>,
): Promise<void>[] => {
  const { gpu, commands } = device;
  const memory: Promise<void>[] = [];
  const pipeline = device.pipeline("halves that are written", WRITE);
  const layout = pipeline.getBindGroupLayout(0);
  for (let begin = 0; begin < values.length; begin += PIECE) {
    const piece = values.subarray(begin, begin + PIECE);
    const bytes = 16 + piece.byteLength;
    const usage = USAGE.storage | USAGE.copyTarget;
    const { made: written, ready } = device.reserve(bytes, () => device.buffer("written", bytes, usage));
    memory.push(ready);
    device.guard(() => {
      device.write(written, 0, Uint32Array.of(first + begin, piece.length, Number(isLower), 0));
      device.write(written, 16, piece);
      const entries = [written, words].map((buffer, binding) => ({ binding, resource: { buffer } }));
      const pass = commands.encoder().beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(Math.min(WORKGROUPS, Math.ceil(piece.length / THREADS)));
      pass.end();
      commands.encoded(1);
    });
    device.free(written); // when that is done
  }
  return memory;
};
