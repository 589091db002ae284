/** Ranks around a backend in main memory: each makes its part of every step, and all have the bits that one would have. The optimizer knows nothing of it. */

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
} from "../../backend.js";
import { BackendError, OptionError } from "../../errors.js";
import type { Program } from "../../rule/program.js";
import { touch } from "../cpu/touch.js";
import { agree, type Facts } from "./agreement.js";
import type { Exchange, Placement } from "./exchange.js";
import { Refusals } from "./refusals.js";
import { RankedRow } from "./row.js";
import { shareOf } from "./shares.js";
import { COMPARED, RankedStep } from "./step.js";
import { Windows } from "./windows.js";

export interface RankedOptions {
  /** Whether each rank of a team keeps the state of its share alone, and makes the steps of that: memory for state and time go down with the number of ranks,
   *  and the values are shared after each step. Else every rank keeps all, and makes every step whole. Null: where it pays. */
  readonly shardState: boolean | null;
  /** The optimizer's options, which must be the same on all ranks. */
  readonly options?: Facts;
}

/** Shares pay from so many parameters for each rank on. Measured on two ranks, the time of a step with the state in shares over that with it whole, by parameters
 *  for each rank; the block sums of a norm are exchanged in shares alone:
 *
 *  | for each rank       | 500  | 4096 | 5000, in ten | 8192 | 12,288 | 16,384 | 24,576 | 32,768 | 50,000, in ten |
 *  |---------------------|------|------|--------------|------|--------|--------|--------|--------|----------------|
 *  | plain               | 1.00 | 0.96 | 1.01         | 0.98 | 0.92   | 0.92   | 0.89   | 0.91   | 0.86           |
 *  | with globalClipnorm | 1.44 | 1.10 | 1.19         | 1.02 | 0.98   | 0.95   | 0.89   | 0.87   | 0.89           | */
const WORTH_SHARES = 16_384;

export class RankedBackend implements NearBackend {
  readonly near = true;
  readonly accumulatesFirst = true;
  readonly #inner: NearBackend;
  readonly #exchange: Exchange;
  readonly #shardState: boolean | null;
  readonly #options: Facts;
  readonly #windows: Windows;
  readonly #refusals: Refusals;
  /** What is here of a variable of which ranks hold parts. */
  readonly #parts = new WeakMap<Described, Described>();
  #shards = false;
  /** Its number among those that all ranks have built. By names alone, two networks that are alike could be taken for each other. */
  #number = 0;

  /** @throws BackendError for a backend whose memory is far. */
  constructor(inner: Backend, exchange: Exchange, { shardState, options = {} }: RankedOptions) {
    this.#inner = near(inner);
    this.#exchange = exchange;
    this.#shardState = shardState;
    this.#options = options;
    this.#windows = new Windows(exchange);
    this.#refusals = new Refusals(exchange);
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

  /** Numbers that ranks compare. */
  get #compared(): number {
    return COMPARED + this.#windows.own.length;
  }

  get #which(): Facts {
    return this.#number > 0 ? { optimizer: this.#number } : {};
  }

  meet(): void {
    this.#refusals.alike(() => agree(this.#exchange, this.#refusals, this.#compared, "arrays to load", this.#which));
  }

  refuse(error: unknown): void {
    this.#refusals.tell(error, this.#compared);
  }

  place(requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number, told?: OnProgress): NearRow[] {
    const placed: NearRow[] = [];
    try {
      return this.#place(requests, programs, firstIndex, placed, told);
    } catch (error) {
      for (const row of placed) row.free();
      this.refuse(error);
      throw error;
    }
  }

  /** Leaves in `placed` what the inner backend has placed. */
  #place(
    requests: readonly RowRequest[],
    programs: readonly Program[],
    firstIndex: number,
    placed: NearRow[],
    told: OnProgress | undefined,
  ): NearRow[] {
    const { rank } = this.#exchange;
    for (const { variable, foreign } of requests) if (variable.layout) assertCanBeCut(variable, foreign !== null);
    const facts = { ...this.#which, ...this.#options, ...factsOf(requests) };
    this.#refusals.alike(() => agree(this.#exchange, this.#refusals, this.#compared, "variables and options", facts));
    this.#number ||= this.#exchange.nextOptimizer();
    const placements = requests.map(({ variable }) => this.#exchange.placementOf(variable));
    for (const placement of placements) this.#windows.add(placement);
    const shards = this.#sharesState(requests);
    this.#shards ||= shards;
    const byRank = this.#rangesByRank(requests, placements, shards);
    const own = requests.map(
      (request, i): RowRequest => ({ ...request, variable: this.#partOf(request.variable), range: byRank[rank]![i]! }),
    );
    const inner = this.#inner.place(own, programs, firstIndex, null);
    placed.push(...inner);
    // Gradients are added up before they travel: each rank needs room for all of its own.
    const adds = shards && requests.some(({ state }) => state.includes("accumulator"));
    const adding = adds ? this.#inner.place(addersOf(own, inner), programs, firstIndex, null) : inner;
    if (adds) placed.push(...adding);
    for (const memory of new Set(placed.map((row) => row.view("g").buffer))) this.#exchange.prepare?.(memory);
    touch(placed, told);
    // Memory that is not there, and what `told` throws, come to one rank alone.
    const what = "room for variables";
    this.#refusals.alike(() => this.#refusals.compare(new Float64Array(this.#compared), "these variables", what));
    return inner.map((row, i) => {
      const ranges = byRank.map((ofRank) => ofRank[i]!);
      const [request, placement] = [requests[i]!, placements[i]!];
      return new RankedRow(request, row, adding[i]!, ranges, shards, placement, this.#exchange, this.#windows, this.#number);
    });
  }

  #sharesState(requests: readonly RowRequest[]): boolean {
    const { size } = this.#exchange;
    const parameters = requests.reduce((sum, { variable }) => sum + variable.length, 0);
    return size > 1 && (this.#shardState ?? parameters >= WORTH_SHARES * size);
  }

  /** By rank, which elements of each variable (of the rank's part of it) have their state there. */
  #rangesByRank(requests: readonly RowRequest[], placements: readonly Placement[], shards: boolean): Range[][] {
    const alike = new Map<Placement, number[]>();
    for (const [i, placement] of placements.entries()) alike.set(placement, [...(alike.get(placement) ?? []), i]);
    return Array.from({ length: this.#exchange.size }, (_, rank) => {
      const lengths = requests.map(({ variable }) => elementsOn(variable, rank));
      const ranges = lengths.map((end) => ({ begin: 0, end }));
      if (!shards) return ranges;
      for (const [placement, list] of alike) {
        const members = placement.membersOf(rank);
        const ofThese = list.map((i) => lengths[i]!);
        const shares = shareOf(ofThese, members.indexOf(rank), members.length);
        for (const [k, i] of list.entries()) ranges[i] = shares[k]!;
      }
      return ranges;
    });
  }

  #partOf(variable: Described): Described {
    if (!variable.layout) return variable;
    const known = this.#parts.get(variable);
    if (known) return known;
    const { name, dtype, isConstrained, layout } = variable;
    const shape = layout.localShape(variable.shape);
    const part = {
      name,
      dtype,
      isConstrained,
      shape,
      length: product(shape),
      toString: () => `${variable}, of which [${shape}] here`,
    };
    this.#parts.set(variable, part);
    return part;
  }

  checkGradient(gradient: Exclude<Gradient, null>, variable: Described): void {
    this.#inner.checkGradient(gradient, this.#partOf(variable));
  }

  compile(programs: readonly Program[], classes: readonly RowClass[]): NearStep {
    return new RankedStep(
      this.#inner.compile(programs, classes),
      programs,
      classes,
      this.#exchange,
      this.#windows,
      this.#refusals,
      () => this.#which,
    );
  }

  dispose(): void {
    this.#inner.dispose();
  }
}

const product = (sizes: readonly number[]): number => sizes.reduce((product, size) => product * size, 1);

const elementsOn = ({ shape, length, layout }: Described, rank: number): number =>
  layout ? product(layout.localShape(shape, rank)) : length;

/** @throws BackendError for a backend whose memory is far. */
export const near = (backend: Backend): NearBackend => {
  const isNear = (backend: Backend): backend is NearBackend => backend.near === true;
  if (isNear(backend)) return backend;
  throw new BackendError(
    "Ranks share steps in main memory, and not on a device yet",
    `the backend ${backend.name}, whose memory is elsewhere`,
    "Leave mesh out, or train on the wasm backend.",
  );
};

/** @throws OptionError for a variable that needs its whole value in one place. */
const assertCanBeCut = (variable: Described, isForeign: boolean): void => {
  if (variable.isConstrained || isForeign)
    throw new OptionError(
      `${variable}, of which each rank holds a part, can have no constraint, which would see that part alone, and must be adopted`,
      variable.isConstrained ? "a constraint" : "adopt=false",
      "Leave it out, or give the variable no layout.",
    );
};

/** A constraint is a function, so only whether there is one can be told. */
const factsOf = (requests: readonly RowRequest[]): Facts => ({
  variables: requests.map(({ variable: { name, shape, dtype, layout, isConstrained }, class: place, state, foreign }) => {
    const constraint = isConstrained ? "constrained" : "no constraint";
    const facts = [name, shape, dtype, `${layout ?? "replicated"}`, constraint, place, state, foreign !== null];
    return facts;
  }),
});

/** Rows for the gradients of whole variables. The values are those of the others. */
const addersOf = (requests: readonly RowRequest[], rows: readonly NearRow[]): RowRequest[] =>
  requests.map(({ variable, class: place, foreign }, i) => {
    const value = () => rows[i]!.view("w");
    const elsewhere = {
      get value() {
        return value();
      },
      target: value,
      isShared: true,
    };
    const range = { begin: 0, end: variable.length };
    return { variable, range, class: place, state: ["accumulator"], foreign: foreign ?? elsewhere };
  });
