/** The arrays of a model between ranks: summed in the order of ranks, so that every rank has the same bits in every run and under every MPI, and
 *  gathered. Each rank adds up its share of the model (Alltoall brings the parts) and gives it to the others (Allgather), piece by piece: a piece
 *  stays in the cache, and MPI needs no memory for a whole model. */

import type { Range, Values } from "../backend.js";
import type { DType } from "../rule/program.js";
import { type Addition, additionsIn, OVERRUN } from "./addition.js";
import type { Communicator, Parts } from "./communicator.js";
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
      size,
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
    for (const round of this.#rounds) {
      const count = round.counts[this.#group.rank]!;
      this.#group.alltoall(this.#partsIn(source, round, "all"), this.#staging.receive(count), label);
      this.#add(round, factors);
      unpack(this.#staging.sum, 0, this.#ownPiece(round), target, this.#words);
      if (everywhere) this.#gather(round, target, label);
    }
  }

  /** Every rank's share of `arrays`, to all others. */
  allgather(arrays: readonly Values[], label: string): void {
    const places = new Places(arrays);
    for (const round of this.#rounds) this.#gather(round, places, label);
  }

  #ownPiece({ pieces }: Round): readonly Segment[] {
    return pieces[this.#group.rank]!;
  }

  #gather(round: Round, places: Places, label: string): void {
    const { rank } = this.#group;
    const { packed } = this.#staging;
    const parts = this.#partsIn(places, round, "own");
    this.#group.allgather(parts, label);
    if (parts.array !== packed) return;
    for (const [r, piece] of round.pieces.entries()) if (r !== rank) unpack(packed, parts.places[r]!, piece, places, this.#words);
  }

  /** The pieces of a round, where they lie or, where that is not possible, packed: all of them, or only this rank's own. */
  #partsIn(arrays: Places, { pieces, counts, isDirect }: Round, needed: "all" | "own"): Parts {
    const places = this.#places;
    if (isDirect && arrays.memory) {
      for (const [r, [segment]] of pieces.entries())
        places[r] = segment ? arrays.offsets[segment.array]! + segment.begin * this.#words[segment.array]! : 0;
      return { array: arrays.memory, counts, places };
    }
    const { packed, stride } = this.#staging;
    for (const [r, piece] of pieces.entries()) {
      places[r] = r * stride;
      if (needed === "all" || r === this.#group.rank) pack(packed, places[r]!, piece, arrays, this.#words);
    }
    return { array: packed, counts, places };
  }

  /** Adds what was received for this rank's piece. */
  #add(round: Round, factors: Float64Array): void {
    const staging = this.#staging;
    staging.setFactors(factors);
    let place = 0;
    for (const { array, begin, end } of this.#ownPiece(round)) {
      staging.add(this.#model[array]!.dtype, place, end - begin);
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

/** Memory in which pieces are received, added, and packed where they do not lie together. Each rank's has its place, one every `stride` words. */
class Staging {
  readonly stride: number;
  readonly received: Int32Array;
  readonly sum: Int32Array;
  readonly packed: Int32Array;
  readonly #ranks: number;
  readonly #factors: Float64Array;
  readonly #additions: Readonly<Record<DType, Addition>>;
  readonly #counts: Int32Array;
  readonly #places: Int32Array;

  /** `piece`: the words of the largest. */
  constructor(ranks: number, piece: number) {
    this.stride = Math.ceil(piece / 2 + OVERRUN) * 2; // even, for float64; and an addition may touch what lies behind its last element
    const lengths = { received: ranks * this.stride, sum: this.stride, packed: ranks * this.stride, factors: 2 * ranks };
    const total = Object.values(lengths).reduce((sum, length) => sum + length, 0);
    const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * total) / 2 ** 16) });
    let begin = 0;
    const next = (length: number) => {
      begin += length;
      return new Int32Array(memory.buffer, 4 * (begin - length), length);
    };
    this.received = next(lengths.received);
    this.sum = next(lengths.sum);
    this.packed = next(lengths.packed);
    this.#factors = new Float64Array(memory.buffer, next(lengths.factors).byteOffset, ranks);
    this.#ranks = ranks;
    this.#additions = additionsIn(memory);
    this.#counts = new Int32Array(ranks);
    this.#places = Int32Array.from({ length: ranks }, (_, r) => r * this.stride);
  }

  /** Where `count` words from each rank are received. */
  receive(count: number): Parts {
    return { array: this.received, counts: this.#counts.fill(count), places: this.#places };
  }

  setFactors(factors: Float64Array): void {
    this.#factors.set(factors);
    // 0 times what is there would be NaN for some of it.
    for (const [r, place] of this.#places.entries()) if (factors[r] === 0) this.received.fill(0, place, place + this.#counts[r]!);
  }

  /** Adds `count` elements that begin at word `place` of what each rank has sent. They are left at the same place of the sum. */
  add(dtype: DType, place: number, count: number): void {
    const { received, sum, stride } = this;
    const [parts, out] = [received, sum].map(({ byteOffset }) => byteOffset + 4 * place) as [number, number];
    this.#additions[dtype](parts, 4 * stride, this.#ranks, this.#factors.byteOffset, out, count);
  }
}
