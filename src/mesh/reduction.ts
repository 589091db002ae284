/** The arrays of a model between ranks: summed in the order of ranks, so that every rank has the same bits in every run and under every MPI, and
 *  gathered. Each rank adds up its share of the model (Alltoall brings the parts) and gives it to the others (Allgather), piece by piece: a piece
 *  stays in the cache, and MPI needs no memory for a whole model. */

import type { Range, Values } from "../backend.js";
import type { DType } from "../rule/program.js";
import { type Addition, additionsIn, OVERRUN } from "./addition.js";
import type { Communicator, Parts } from "./communicator.js";
import { LARGE_PAGE_BYTES } from "./large-pages.js";
import { evenRanges, type Round, roundsOf, type Segment, type Shape, segmentsOf, wordsPerElement } from "./shares.js";

export class Reduction {
  /** What this rank owns. */
  readonly share: readonly Segment[];
  readonly #group: Communicator;
  readonly #rounds: readonly Round[];
  readonly #words: readonly number[];
  readonly #model: readonly Shape[];
  readonly #staging: Staging;
  readonly #places: Int32Array;

  /** `model`: the arrays, the same on every rank. `ranges`: of each, by rank, which elements are that one's share; default: as even as whole blocks allow. */
  constructor(group: Communicator, model: readonly Shape[], ranges?: readonly (readonly Range[])[]) {
    const { rank, size } = group;
    const lengths = model.map(({ length }) => length);
    const shares = segmentsOf(ranges ?? evenRanges(lengths, size), size);
    this.share = shares[rank]!;
    this.#group = group;
    this.#model = model;
    this.#words = model.map(({ dtype }) => wordsPerElement(dtype));
    this.#rounds = size === 1 ? [] : roundsOf(model, shares);
    this.#staging = new Staging(
      group,
      this.#rounds.reduce((most, { counts }) => Math.max(most, ...counts), 0),
    );
    this.#places = new Int32Array(size);
  }

  /** Adds up what the ranks have in `from`, times their factors, and leaves the sum in `into`, which may be the same arrays: this rank's share of it,
   *  or with `everywhere` all of it. */
  sumInRankOrder(
    from: readonly Values[],
    into: readonly Values[],
    factors: Float64Array,
    { everywhere, label }: { readonly everywhere: boolean; readonly label: string },
  ): void {
    if (this.#group.size === 1) {
      scaleAlone(from, into, factors[0]!);
      return;
    }
    const source = new Places(from);
    const target = from === into ? source : new Places(into);
    this.#staging.setFactors(factors);
    // The next round is on its way while one is added up, so that nobody waits for who is a little behind.
    let arrive = this.#begin(0, source, label);
    for (const [k, round] of this.#rounds.entries()) {
      const next = this.#begin(k + 1, source, label);
      arrive();
      this.#add(round, k, source);
      unpack(this.#staging.sum, 0, this.#ownPiece(round), target, this.#words);
      if (everywhere) this.#gather(round, k, target, label);
      arrive = next;
    }
  }

  /** Sends round `k` to its owners, if there is one. What is returned waits for it. */
  #begin(k: number, source: Places, label: string): () => void {
    const round = this.#rounds[k];
    if (!round) return () => {};
    const received = this.#staging.receive(k, round.counts[this.#group.rank]!);
    return this.#group.alltoall(this.#partsIn(source, round, k, "others"), received, label);
  }

  /** Every rank's share of `arrays`, to all others. */
  allgather(arrays: readonly Values[], label: string): void {
    const places = new Places(arrays);
    for (const [k, round] of this.#rounds.entries()) this.#gather(round, k, places, label);
  }

  #ownPiece({ pieces }: Round): readonly Segment[] {
    return pieces[this.#group.rank]!;
  }

  #gather(round: Round, k: number, places: Places, label: string): void {
    const { rank } = this.#group;
    const packed = this.#staging.packed[k % 2]!;
    const parts = this.#partsIn(places, round, k, "own");
    this.#group.allgather(parts, label);
    if (parts.array !== packed) return;
    for (const [r, piece] of round.pieces.entries()) if (r !== rank) unpack(packed, parts.places[r]!, piece, places, this.#words);
  }

  /** The pieces of round `k`, where they lie or, where that is not possible, packed: those of the others, or this rank's own. */
  #partsIn(arrays: Places, { pieces, counts, isDirect }: Round, k: number, needed: "others" | "own"): Parts {
    const places = this.#places;
    if (isDirect && arrays.memory) {
      for (const [r, [segment]] of pieces.entries())
        places[r] = segment ? arrays.offsets[segment.array]! + segment.begin * this.#words[segment.array]! : 0;
      return { array: arrays.memory, counts, places };
    }
    const { stride } = this.#staging;
    const packed = this.#staging.packed[k % 2]!;
    for (const [r, piece] of pieces.entries()) {
      places[r] = r * stride;
      if ((needed === "own") === (r === this.#group.rank)) pack(packed, places[r]!, piece, arrays, this.#words);
    }
    return { array: packed, counts, places };
  }

  /** Adds what was received for this rank's piece of round `k`, and what it has itself. */
  #add(round: Round, k: number, source: Places): void {
    const staging = this.#staging;
    const piece = this.#ownPiece(round);
    const received = staging.received[k % 2]!;
    pack(received, this.#group.rank * staging.stride, piece, source, this.#words);
    staging.leaveOut(received, round.counts[this.#group.rank]!);
    let place = 0;
    for (const { array, begin, end } of piece) {
      staging.add(this.#model[array]!.dtype, received, place, end - begin);
      place += (end - begin) * this.#words[array]!;
    }
  }
}

/** The sum of one. */
const scaleAlone = (from: readonly Values[], into: readonly Values[], factor: number): void => {
  from.forEach((values, i) => {
    const out = into[i]!;
    if (out !== values) out.set(values);
    if (factor !== 1) for (let k = 0; k < out.length; k++) out[k]! *= factor;
  });
};

/** Where arrays lie, in words. */
class Places {
  readonly words: readonly Int32Array[];
  /** The memory that all of them lie in, or null: then they can only be sent one by one. */
  readonly memory: Int32Array | null;
  /** Of each array in it. */
  readonly offsets: readonly number[];

  constructor(arrays: readonly Values[]) {
    this.words = arrays.map(wordsOf);
    this.offsets = arrays.map(({ byteOffset }) => byteOffset / 4);
    const { buffer } = arrays[0] ?? new Int32Array(0);
    const isOne = arrays.every((array) => array.buffer === buffer) && buffer.byteLength / 4 < 2 ** 31; // MPI's places are ints
    this.memory = isOne ? new Int32Array(buffer, 0, Math.floor(buffer.byteLength / 4)) : null;
  }
}

/** Views of arrays that come again in every step. */
const views = new WeakMap<Values, Int32Array>();

const wordsOf = (values: Values): Int32Array => {
  const known = views.get(values);
  if (known) return known;
  const words = new Int32Array(values.buffer, values.byteOffset, values.byteLength / 4);
  views.set(values, words);
  return words;
};

const pack = (
  into: Int32Array,
  place: number,
  piece: readonly Segment[],
  { words }: Places,
  perElement: readonly number[],
): void => {
  for (const { array, begin, end } of piece) {
    const part = words[array]!.subarray(begin * perElement[array]!, end * perElement[array]!);
    into.set(part, place);
    place += part.length;
  }
};

const unpack = (
  from: Int32Array,
  place: number,
  piece: readonly Segment[],
  { words }: Places,
  perElement: readonly number[],
): void => {
  for (const { array, begin, end } of piece) {
    const count = (end - begin) * perElement[array]!;
    words[array]!.set(from.subarray(place, place + count), begin * perElement[array]!);
    place += count;
  }
};

/** Memory in which pieces are received, added, and packed where they do not lie together. Each rank's has its place, one every `stride` words. Two rounds
 *  are under way at once: even ones and odd ones have their own. */
class Staging {
  readonly stride: number;
  readonly received: readonly Int32Array[];
  readonly sum: Int32Array;
  readonly packed: readonly Int32Array[];
  readonly #ranks: number;
  readonly #factors: Float64Array;
  readonly #additions: Readonly<Record<DType, Addition>>;
  readonly #counts: Int32Array;
  readonly #places: Int32Array;

  /** `piece`: the words of the largest. */
  constructor(group: Communicator, piece: number) {
    const ranks = group.size;
    this.stride = Math.ceil(piece / 2 + OVERRUN) * 2; // even, for float64; and an addition may touch what lies behind its last element
    const ofAll = ranks * this.stride;
    const total = 4 * ofAll + this.stride + 2 * ranks;
    const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * total + 2 * LARGE_PAGE_BYTES) / 2 ** 16) });
    group.prepare(memory.buffer);
    let begin = LARGE_PAGE_BYTES / 4;
    const next = (length: number) => {
      begin += length;
      return new Int32Array(memory.buffer, 4 * (begin - length), length);
    };
    this.received = [next(ofAll), next(ofAll)];
    this.sum = next(this.stride);
    this.packed = [next(ofAll), next(ofAll)];
    this.#factors = new Float64Array(memory.buffer, next(2 * ranks).byteOffset, ranks);
    this.#ranks = ranks;
    this.#additions = additionsIn(memory);
    this.#counts = new Int32Array(ranks);
    this.#places = Int32Array.from({ length: ranks }, (_, r) => r * this.stride);
  }

  /** Where `count` words from each rank are received in round `k`. */
  receive(k: number, count: number): Parts {
    return { array: this.received[k % 2]!, counts: this.#counts.fill(count), places: this.#places };
  }

  setFactors(factors: Float64Array): void {
    this.#factors.set(factors);
  }

  /** Zeros for what came from ranks whose factor is 0: 0 times what is there would be NaN for some of it. */
  leaveOut(received: Int32Array, count: number): void {
    for (const [r, place] of this.#places.entries()) if (this.#factors[r] === 0) received.fill(0, place, place + count);
  }

  /** Adds `count` elements that begin at word `place` of what each rank has sent. They are left at the same place of the sum. */
  add(dtype: DType, received: Int32Array, place: number, count: number): void {
    const { sum, stride } = this;
    const [parts, out] = [received, sum].map(({ byteOffset }) => byteOffset + 4 * place) as [number, number];
    this.#additions[dtype](parts, 4 * stride, this.#ranks, this.#factors.byteOffset, out, count);
  }
}
