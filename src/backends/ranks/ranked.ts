/** Ranks around a backend in main memory: each makes its part of every step, and all have the bits that one would have. The optimizer knows nothing of it. */

import { BackendError } from "../../errors.js";
import { BLOCK, type Program } from "../../rule/program.js";
import { IndexedSlices } from "../../variable.js";
import type {
  Backend,
  Described,
  Gradient,
  NearBackend,
  NearRow,
  NearStep,
  OnProgress,
  Range,
  RowClass,
  RowRequest,
  StepParameters,
  Values,
} from "../backend.js";
import type { Exchange } from "./exchange.js";
import { lengthOf, shareOf, within } from "./shares.js";

export interface RankedOptions {
  /** Whether each rank keeps the state of its share alone, and makes the steps of that: memory for state and time go down with the number of ranks, and the
   *  values are shared after each step. Else every rank keeps all, and makes every step whole. */
  readonly shardState: boolean;
}

export class RankedBackend implements NearBackend {
  readonly near = true;
  readonly #inner: NearBackend;
  readonly #exchange: Exchange;
  readonly #shards: boolean;

  /** @throws BackendError for a backend whose memory is far. */
  constructor(inner: Backend, exchange: Exchange, { shardState }: RankedOptions) {
    if (!isNear(inner))
      throw new BackendError(
        "Ranks share steps in main memory",
        `the backend ${inner.name}, whose memory is elsewhere`,
        "Leave mesh out, or train on the wasm backend.",
      );
    this.#inner = inner;
    this.#exchange = exchange;
    this.#shards = shardState && exchange.size > 1;
  }

  get name(): string {
    return this.#inner.name;
  }

  get why(): string {
    const { rank, size } = this.#exchange;
    return `${this.#inner.why}; rank ${rank} of ${size}, state ${this.#shards ? "in shares" : "whole on each"}`;
  }

  get threads(): number {
    return this.#inner.threads ?? 1;
  }

  place(requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number, told?: OnProgress): NearRow[] {
    const lengths = requests.map(({ variable }) => variable.length);
    const whole = lengths.map((end) => ({ begin: 0, end }));
    const { rank, size } = this.#exchange;
    const byRank = Array.from({ length: size }, (_, other) => (this.#shards ? shareOf(lengths, other, size) : whole));
    const own = requests.map((request, i) => ({ ...request, range: byRank[rank]![i]! }));
    const rows = this.#inner.place(own, programs, firstIndex, told);
    return rows.map((row, i) => {
      const ranges = byRank.map((ofRank) => ofRank[i]!);
      return new RankedRow(requests[i]!, row, this.#shards ? ranges : null, this.#exchange);
    });
  }

  checkGradient(gradient: Exclude<Gradient, null>, variable: Described): void {
    this.#inner.checkGradient(gradient, variable);
  }

  compile(programs: readonly Program[], classes: readonly RowClass[]): NearStep {
    return new RankedStep(this.#inner.compile(programs, classes), programs, this.#exchange);
  }

  dispose(): void {
    this.#inner.dispose();
  }
}

const isNear = (backend: Backend): backend is NearBackend => backend.near === true;

/** A variable on this rank. Its value and its gradient are whole; the arrays of its state look so. */
class RankedRow implements NearRow {
  gradient: Gradient = null;

  constructor(
    readonly request: RowRequest,
    readonly inner: NearRow,
    /** By rank, which elements of the state are there; null: all on each. */
    readonly ranges: readonly Range[] | null,
    readonly exchange: Exchange,
  ) {}

  get index(): number {
    return this.inner.index;
  }

  /** Of an array in shares, a copy of the whole, for which all ranks must ask. */
  view(name: string): Values {
    if (!this.#sharesOf(name)) return this.inner.view(name);
    return this.#gathered(name, 0, this.request.variable.length);
  }

  async read(name: string, begin: number, into: Values): Promise<void> {
    if (!this.#sharesOf(name)) return this.inner.read(name, begin, into);
    into.set(this.#gathered(name, begin, begin + into.length));
  }

  async write(name: string, begin: number, values: Values): Promise<void> {
    const shares = this.#sharesOf(name);
    if (!shares) return this.inner.write(name, begin, values);
    const own = shares[this.exchange.rank]!;
    const part = within(own, begin, begin + values.length);
    if (lengthOf(part) > 0) await this.inner.write(name, begin + part.begin - own.begin, values.subarray(part.begin, part.end));
  }

  free(): void {
    this.inner.free();
  }

  #sharesOf(name: string): readonly Range[] | null {
    return name === "w" || name === "g" ? null : this.ranges;
  }

  /** Elements [begin, end) of a state array, of all ranks. */
  #gathered(name: string, begin: number, end: number): Values {
    const own = this.ranges![this.exchange.rank]!;
    const Values = this.request.variable.dtype === "float32" ? Float32Array : Float64Array;
    const array = new Values(end - begin);
    const ranges = this.ranges!.map((range) => within(range, begin, end));
    const part = ranges[this.exchange.rank]!;
    const from = begin + part.begin - own.begin;
    array.set(this.inner.view(name).subarray(from, from + lengthOf(part)), part.begin);
    this.exchange.share([{ array, ranges }]);
    return array;
  }
}

class RankedStep implements NearStep {
  readonly passes: number;
  readonly #inner: NearStep;
  readonly #programs: readonly Program[];
  readonly #exchange: Exchange;
  readonly #readsG: boolean;
  readonly #writesW: boolean;
  #rows: readonly RankedRow[] = [];

  constructor(inner: NearStep, programs: readonly Program[], exchange: Exchange) {
    this.passes = inner.passes;
    this.#inner = inner;
    this.#programs = programs;
    this.#exchange = exchange;
    this.#readsG = programs.some(({ buffers }) => buffers.includes("g"));
    this.#writesW = programs.some(({ passes, buffers }) =>
      passes.some(({ stores }) => stores.some(({ buffer }) => buffers[buffer] === "w")),
    );
  }

  begin(rows: readonly RankedRow[], count: number, parameters: StepParameters): void {
    this.#rows = rows.slice(0, count);
    if (this.#readsG) this.#reduceGradients();
    const inner = this.#rows.map((row) => row.inner);
    this.#inner.begin(inner, count, parameters);
  }

  /** The gradients of all ranks become one, in the variables' own arrays: which of their elements are listed, or there at all, may differ from rank to rank. */
  #reduceGradients(): void {
    const gradients = this.#rows.map(({ gradient, inner }) => {
      const own = inner.view("g");
      if (gradient instanceof IndexedSlices) scatter(gradient, own, inner.request.variable);
      else if (ArrayBuffer.isView(gradient)) {
        if (gradient !== own) own.set(gradient);
      } else own.fill(0);
      inner.gradient = own;
      return own;
    });
    this.#exchange.reduce(gradients);
  }

  runPass(pass: number): void {
    this.#inner.runPass(pass);
    if (pass === this.passes - 1 && this.#writesW) this.#shareValues();
  }

  #shareValues(): void {
    const arrays = this.#rows.flatMap(({ inner, ranges }) => (ranges ? [{ array: inner.view("w"), ranges }] : []));
    if (arrays.length > 0) this.#exchange.share(arrays);
  }

  blockSums(pass: number): Float64Array[] {
    return this.#inner.blockSums(pass);
  }

  joinSums(pass: number): void {
    if (!this.#rows.some(({ ranges }) => ranges)) this.#inner.joinSums(pass);
    else this.#inner.joinSums(pass, this.#gatheredBlocks(pass));
  }

  /** Blocks travel, and not totals: added up in another order, they would have other bits. */
  #gatheredBlocks(pass: number): Float64Array[] {
    const own = this.#inner.blockSums(pass);
    const byRank = this.#exchange.gather(joined(own));
    const taken = byRank.map(() => 0);
    return this.#rows.map(({ ranges, request }) => {
      const sums = this.#programs[request.class]!.passes[pass]!.sums.length;
      const parts = byRank.map((blocks, rank) => {
        const begin = taken[rank]!;
        taken[rank] = begin + Math.ceil(lengthOf(ranges![rank]!) / BLOCK) * sums;
        return blocks.subarray(begin, taken[rank]);
      });
      return joined(parts);
    });
  }

  end(): void | Promise<void> {
    const done = this.#inner.end();
    for (const { inner } of this.#rows) inner.gradient = null;
    this.#rows = [];
    return done;
  }
}

const joined = (parts: readonly Float64Array[]): Float64Array => {
  const whole = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};

/** The dense gradient that listed rows mean; rows given twice are added in the order given. */
const scatter = ({ values, indices }: IndexedSlices, into: Values, { shape, length }: Described): void => {
  const size = length / (shape[0] || 1);
  into.fill(0);
  for (let i = 0; i < indices.length; i++) for (let k = 0; k < size; k++) into[indices[i]! * size + k]! += values[i * size + k]!;
};
