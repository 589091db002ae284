/** A variable on a rank. Its value and its gradient are those that the rank holds; the arrays of its state look whole. */

import type { Gradient, NearRow, Range, RowRequest, Values } from "../../backend.js";
import { ARRAYS } from "../../rule/program.js";
import { checksum } from "./agreement.js";
import type { Exchange, Placement } from "./exchange.js";
import { type Run, runsWithin } from "./shares.js";
import type { Windows } from "./windows.js";

/** Whose numbers bring all elements of an array together, and which. */
interface Source {
  readonly rank: number;
  readonly range: Range;
}

export class RankedRow implements NearRow {
  gradient: Gradient = null;
  /** The ranks whose ranges, in this order, are the whole of the variable, once. */
  readonly sources: readonly Source[];
  /** The ranges of the team's members, where they differ. */
  readonly ofTeam: readonly Range[] | null;
  /** A whole number that stands for the variable, the same on every rank. */
  readonly sign: number;
  readonly #exchange: Exchange;
  readonly #windows: Windows;
  /** In the labels of what is read. */
  readonly #whose: string;

  constructor(
    readonly request: RowRequest,
    /** Steps are made here. */
    readonly inner: NearRow,
    /** Gradients are accumulated here. */
    readonly adding: NearRow,
    /** By rank, the elements of its part that have their state there. */
    readonly ranges: readonly Range[],
    /** Whether the team shares the state. */
    readonly isShared: boolean,
    readonly placement: Placement,
    exchange: Exchange,
    windows: Windows,
    /** The number of its optimizer. */
    optimizer: number,
  ) {
    this.#exchange = exchange;
    this.#windows = windows;
    this.ofTeam = isShared ? placement.team.members.map((rank) => ranges[rank]!) : null;
    this.sources = placement.teams.flatMap((team) =>
      (isShared ? team : team.slice(0, 1)).map((rank) => ({ rank, range: ranges[rank]! })),
    );
    const { foreign, variable } = request;
    this.sign = checksum(`${optimizer} ${inner.index} ${variable.name} ${variable.shape}`);
    this.#whose = `${variable.name}, variable ${inner.index + 1} of optimizer ${optimizer}`;
    if (!foreign) return;
    const first = foreign.value.slice();
    placement.replicas.broadcast(first, `the first value of ${variable.name}`);
    if (placement.replicas.place === 0) return;
    if (foreign.take) foreign.take(first);
    else foreign.target().set(first);
  }

  get index(): number {
    return this.inner.index;
  }

  /** Where a step writes the value. */
  get written(): Values {
    return this.request.foreign?.target() ?? this.inner.view("w");
  }

  /** Whether this rank has only a part of the state. */
  get isPart(): boolean {
    return this.sources.length > 1;
  }

  async adopt(value: Values): Promise<void> {
    const own = this.inner.view("w");
    own.set(value);
    this.placement.replicas.broadcast(own, `the first value of ${this.request.variable.name}`);
  }

  /** Of state that is not whole here, a copy of the whole, for which all ranks must ask. */
  view(name: string): Values {
    if (name === "g") return this.adding.view(name);
    if (name === "w" || this.#isHere(name)) return this.inner.view(name);
    return this.#gathered(name, 0, this.request.variable.length);
  }

  /** Whether this rank has all elements of an array. What has been accumulated is the sum of what all have. */
  #isHere(name: string): boolean {
    if (name === "accumulator") return false;
    return name === "w" ? this.placement.teams.length === 1 : !this.isPart;
  }

  async read(name: string, begin: number, into: Values): Promise<void> {
    if (this.#isHere(name)) return this.inner.read(name, begin, into);
    into.set(this.#gathered(name, begin, begin + into.length));
  }

  async write(name: string, begin: number, values: Values): Promise<void> {
    const { rank } = this.#exchange;
    const isWhole = name === "w" || name === "accumulator";
    const whole = { begin: 0, end: Number.POSITIVE_INFINITY };
    const range = isWhole ? whole : this.ranges[rank]!;
    const row = name === "accumulator" ? this.adding : this.inner;
    if (name === "accumulator") this.#windows.close();
    const array = row.view(name);
    // Where gradients are added up, what all have accumulated is the first one's.
    const isNone = name === "accumulator" && this.#exchange.sums && this.placement.team.place > 0;
    for (const { whole, part, length } of this.#runs(rank, begin, begin + values.length, range)) {
      const at = part - (isWhole ? 0 : range.begin);
      if (isNone) array.fill(0, at, at + length);
      else array.set(values.subarray(whole - begin, whole - begin + length), at);
    }
  }

  free(): void {
    this.inner.free();
    if (this.adding !== this.inner) this.adding.free();
  }

  /** What of the elements [begin, end) of the whole a rank holds. */
  #runs(rank: number, begin: number, end: number, range: Range): Run[] {
    const { variable } = this.request;
    const runs = variable.layout?.runs(variable.shape, rank) ?? [{ whole: 0, part: 0, length: variable.length }];
    return runsWithin(runs, begin, end, range);
  }

  /** Elements [begin, end) of an array of which no rank has all. Each tells those that it alone has. */
  #gathered(name: string, begin: number, end: number): Values {
    const { rank } = this.#exchange;
    const { variable } = this.request;
    const array = new ARRAYS[variable.dtype](end - begin);
    const isWhole = name === "w" || name === "accumulator"; // in each rank's part of the variable
    const sources = isWhole ? this.placement.teams.map(([first]) => ({ rank: first!, range: ALL })) : this.sources;
    const byRank = Array.from({ length: this.#exchange.size }, (_, r): Run[] => {
      const source = sources.find((one) => one.rank === r);
      return source ? this.#runs(r, begin, end, source.range) : [];
    });
    const lengths = byRank.map((runs) => runs.reduce((sum, { length }) => sum + length, 0));
    const own = new Float64Array(lengths[rank]!);
    if (name === "accumulator") this.#reduceInto(own, byRank[rank]!, begin, end);
    else {
      const values = this.inner.view(name);
      const first = isWhole ? 0 : this.ranges[rank]!.begin;
      let at = 0;
      for (const { part, length } of byRank[rank]!) {
        own.set(values.subarray(part - first, part - first + length), at);
        at += length;
      }
    }
    const numbers = this.#exchange.gather(own, lengths, this.#labelOf(name));
    for (const [r, runs] of byRank.entries()) {
      let at = 0;
      for (const { whole, length } of runs) {
        array.set(numbers[r]!.subarray(at, at + length), whole - begin);
        at += length;
      }
    }
    return array;
  }

  /** Names may have colons in them, behind which a label no longer says which call it is. */
  #labelOf(array: string): string {
    return `${array} of ${this.#whose}`.replaceAll(":", " ");
  }

  /** What the team has accumulated of these elements. */
  #reduceInto(own: Float64Array, wanted: readonly Run[], begin: number, end: number): void {
    const { rank, size } = this.#exchange;
    const runs = this.#runs(rank, begin, end, ALL); // the same on every member
    const first = runs[0]?.part ?? 0;
    const last = runs.at(-1);
    const sum = this.adding.view("accumulator").slice(first, last ? last.part + last.length : 0);
    const { teams, own: told } = this.#windows;
    const label = this.#labelOf("what has been accumulated");
    const all = this.#exchange.gather(Float64Array.from(told), new Array<number>(size).fill(told.length), label);
    const factors = this.#windows.accumulated(all.map((one) => [...one]))[teams.indexOf(this.placement.team)]!;
    this.placement.team.reduce([{ from: sum, into: sum, ranges: null }], factors, label);
    let at = 0;
    for (const { part, length } of wanted) {
      own.set(sum.subarray(part - first, part - first + length), at);
      at += length;
    }
  }
}

const ALL: Range = { begin: 0, end: Number.POSITIVE_INFINITY };
