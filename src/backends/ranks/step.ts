/** A step of a rank: gradients become one, each rank makes its share, and the values are shared. */

import type { Described, Gradient, NearStep, RowClass, RowRequest, StepParameters, Values } from "../../backend.js";
import { IndexedSlices } from "../../indexed-slices.js";
import { BLOCK, type Program } from "../../rule/program.js";
import { checksum, type Facts, mixed, refuseDifference } from "./agreement.js";
import type { Exchange, Reduced, SharedArray, Team } from "./exchange.js";
import type { Refusals } from "./refusals.js";
import type { RankedRow } from "./row.js";
import { lengthOf } from "./shares.js";
import type { Windows } from "./windows.js";

/** What a step does with gradients: adds them to what has been accumulated, uses what has, uses them, or nothing: it moves values and averages. */
type Kind = "adds" | "usesAccumulated" | "usesGradients" | "moves";

const MOVE = "a change of averages";
const CALLS: Readonly<Record<Exclude<Kind, "moves">, string>> = {
  adds: "a step that accumulates",
  usesAccumulated: "a step",
  usesGradients: "a step",
};
const NO_PARAMETERS: StepParameters = { learningRate: 0, step: 0 };

/** Numbers that ranks compare before each step, and those of the windows. */
export const COMPARED = 4;

export class RankedStep implements NearStep {
  readonly passes: number;
  readonly #inner: NearStep;
  readonly #programs: readonly Program[];
  readonly #exchange: Exchange;
  readonly #windows: Windows;
  readonly #refusals: Refusals;
  readonly #classes: readonly RowClass[];
  readonly #which: () => Facts;
  readonly #kind: Kind;
  readonly #writesW: boolean;
  readonly #checksum: number;
  #rows: readonly RankedRow[] = [];
  #step = 0;

  constructor(
    inner: NearStep,
    programs: readonly Program[],
    classes: readonly RowClass[],
    exchange: Exchange,
    windows: Windows,
    refusals: Refusals,
    /** Of which optimizer. */
    which: () => Facts,
  ) {
    this.passes = inner.passes;
    this.#inner = inner;
    this.#programs = programs;
    this.#exchange = exchange;
    this.#windows = windows;
    this.#refusals = refusals;
    this.#classes = classes;
    this.#which = which;
    this.#kind = kindOf(programs);
    this.#writesW = programs.some((program) => stores(program, "w"));
    this.#checksum = checksum(JSON.stringify([programs, classes]));
  }

  begin(rows: readonly RankedRow[], count: number, parameters: StepParameters): void {
    this.#refusals.alike(() => this.#begin(rows, count, parameters));
  }

  #begin(rows: readonly RankedRow[], count: number, parameters: StepParameters): void {
    this.#rows = rows.slice(0, count);
    this.#step = parameters.step;
    const told = this.#compare(this.#kind === "moves" ? NO_PARAMETERS : parameters);
    const factors = () => this.#windows.factors(told.map(([weight]) => weight!));
    if (this.#kind === "usesGradients") this.#reduceGradients(factors());
    if (this.#kind === "usesAccumulated")
      this.#reduceAccumulated(this.#windows.accumulated(told.map(([, ...accumulated]) => accumulated)));
    if (this.#kind === "adds") this.#weigh(factors());
    const inner = this.#rows.map((row) => (this.#kind === "adds" ? row.adding : row.inner));
    this.#inner.begin(inner, count, parameters);
  }

  /** Of every rank, its weight and what it has accumulated. It is the same step on all, of the same variables, or nothing is changed. */
  #compare({ learningRate, step, weight = 1 }: StepParameters): Float64Array[] {
    const sum = this.#rows.reduce((sum, { sign }) => mixed(sum, sign), this.#checksum);
    const own = Float64Array.of(sum, learningRate, step, weight, ...this.#windows.own);
    const moves = this.#kind === "moves";
    const all = this.#refusals.compare(own, moves ? MOVE : `step ${step}`, moves ? MOVE : `what step ${step} is`);
    const [first] = all;
    if (
      all.some((other) => [0, 1, 2].some((i) => other[i] !== first![i] && !(Number.isNaN(other[i]) && Number.isNaN(first![i]))))
    )
      refuseDifference(this.#exchange, "steps", "a step of the optimizer", JSON.stringify(this.#facts(learningRate, step)));
    return all.map((one) => one.subarray(3));
  }

  /** In words, what has been compared. */
  #facts(learningRate: number, step: number): Facts {
    const of = <Fact>(fact: (request: RowRequest, index: number) => Fact) =>
      this.#rows.map(({ request, index }) => fact(request, index));
    const moves = this.#kind === "moves";
    return {
      call: this.#kind === "moves" ? `${MOVE}, ${moveOf(this.#programs)}` : CALLS[this.#kind],
      update: step,
      "learning rate": learningRate,
      [moves ? "variables" : "variables with a gradient"]: of(({ variable }) => variable.name),
      ...this.#which(),
      "settings of variables": of((request) => ({ of: request.variable.name, ...this.#classes[request.class] })),
      "places of variables": of((_, index) => index),
      "programs of the step": this.#checksum,
    };
  }

  #reduceGradients(factors: readonly Float64Array[]): void {
    this.#reduce(factors, (row) => {
      const { gradient, inner } = row;
      const own = inner.view("g");
      const from = gradient === null || gradient instanceof IndexedSlices ? own : (gradient as Values);
      if (gradient instanceof IndexedSlices) scatter(gradient, own, inner.request.variable);
      else if (gradient === null) own.fill(0);
      inner.gradient = own;
      return { from, into: own, ranges: row.ofTeam };
    });
  }

  #reduceAccumulated(factors: readonly Float64Array[]): void {
    this.#reduce(factors, (row) => {
      const [from, own] = [row.adding.view("accumulator"), row.inner.view("accumulator")];
      row.inner.gradient = null;
      if (!row.isShared) return { from, into: own, ranges: null };
      // The sum is left among the gradients, which lie as the whole does; the share of it, where the step uses it.
      return { from, into: row.inner.view("g"), ranges: row.ofTeam };
    });
    for (const { isShared, adding, inner, ranges } of this.#rows) {
      if (!isShared) continue;
      const { begin, end } = ranges[this.#exchange.rank]!;
      inner.view("accumulator").set(inner.view("g").subarray(begin, end));
      adding.view("accumulator").fill(0);
    }
    this.#windows.close();
  }

  /** In one exchange for each team. */
  #reduce(factors: readonly Float64Array[], arraysOf: (row: RankedRow) => Reduced): void {
    const arrays = this.#rows.map(arraysOf);
    this.#windows.teams.forEach((team, i) => {
      const ofTeam = this.#ofTeam(team, arrays);
      if (ofTeam.length > 0) team.reduce(ofTeam, factors[i]!, `gradients of step ${this.#step}`);
    });
  }

  #ofTeam<Item>(team: Team, items: readonly Item[]): Item[] {
    return items.filter((_, i) => this.#rows[i]!.placement.team === team);
  }

  /** What has been accumulated is multiplied once, when it is used: so a gradient that counts more or less than those before it is, already now. */
  #weigh(factors: readonly Float64Array[]): void {
    const own = this.#windows.enter(factors);
    const { teams } = this.#windows;
    for (const { gradient, adding, placement } of this.#rows)
      adding.gradient = times(own[teams.indexOf(placement.team)]!, gradient);
  }

  runPass(pass: number): void {
    this.#refusals.alike(() => this.#inner.runPass(pass));
    if (pass === this.passes - 1 && this.#writesW) this.#shareValues();
  }

  #shareValues(): void {
    for (const team of this.#windows.teams) {
      const shared = this.#ofTeam(team, this.#rows).flatMap(({ written, ofTeam }): SharedArray[] =>
        ofTeam ? [{ array: written, ranges: ofTeam }] : [],
      );
      if (shared.length > 0) team.share(shared, `values of step ${this.#step}`);
    }
  }

  blockSums(pass: number): Float64Array[] {
    return this.#inner.blockSums(pass);
  }

  joinSums(pass: number): void {
    if (this.#rows.some(({ isPart }) => isPart)) this.#inner.joinSums(pass, this.#gatheredBlocks(pass));
    else this.#inner.joinSums(pass);
  }

  /** Blocks travel, and not totals: added up in another order, they would have other bits. Each counts once, whoever else has it. */
  #gatheredBlocks(pass: number): Float64Array[] {
    const { rank, size } = this.#exchange;
    const own = this.#inner.blockSums(pass);
    const lengths = new Array<number>(size).fill(0);
    const told: Float64Array[] = [];
    const sums = this.#rows.map(({ request }) => this.#programs[request.class]!.passes[pass]!.sums.length);
    this.#rows.forEach(({ sources, isPart }, i) => {
      if (!isPart) return;
      for (const source of sources) {
        lengths[source.rank]! += blocksOf(source, sums[i]!);
        if (source.rank === rank) told.push(own[i]!);
      }
    });
    const byRank = this.#exchange.gather(joined(told), lengths, `norms of step ${this.#step}`, true);
    const taken = byRank.map(() => 0);
    return this.#rows.map(({ sources, isPart }, i) => {
      if (!isPart) return own[i]!;
      const parts = sources.map((source) => {
        const begin = taken[source.rank]!;
        taken[source.rank] = begin + blocksOf(source, sums[i]!);
        return byRank[source.rank]!.subarray(begin, taken[source.rank]);
      });
      return joined(parts);
    });
  }

  end(): void {
    this.#inner.end();
    for (const { inner, adding } of this.#rows) inner.gradient = adding.gradient = null;
    this.#rows = [];
  }
}

const stores = ({ passes, buffers }: Program, name: string): boolean =>
  passes.some(({ stores }) => stores.some(({ buffer }) => buffers[buffer] === name));

const kindOf = (programs: readonly Program[]): Kind => {
  if (!programs.some(({ buffers }) => buffers.includes("g"))) return "moves";
  if (!programs.some(({ buffers }) => buffers.includes("accumulator"))) return "usesGradients";
  return programs.some((program) => stores(program, "w")) ? "usesAccumulated" : "adds";
};

/** What it is called where users call it. */
const moveOf = (programs: readonly Program[]): string => {
  const moves = (name: string) => programs.some((program) => stores(program, name));
  if (!moves("w")) return "resetAverages";
  return moves("average") ? "swapAverages" : "finalizeVariableValues";
};

const blocksOf = ({ range }: RankedRow["sources"][number], sums: number): number => Math.ceil(lengthOf(range) / BLOCK) * sums;

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

const times = (factor: number, gradient: Gradient): Gradient => {
  if (factor === 1) return gradient;
  if (factor === 0 || gradient === null) return null;
  if (gradient instanceof IndexedSlices)
    return new IndexedSlices(
      gradient.values.map((x) => x * factor),
      gradient.indices,
    );
  return (gradient as Values).map((x) => x * factor);
};
