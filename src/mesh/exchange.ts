/** The ranks of a mesh, as backends know them: who holds the same, and what goes to and fro. */

import type { Described, Values } from "../backend.js";
import type { Exchange, Placement, Reduced, SharedArray, Team } from "../backends/ranks/exchange.js";
import { OptionError } from "../errors.js";
import { ARRAYS, type DType } from "../rule/program.js";
import { type Communicator, inOrder } from "./communicator.js";
import { gatherNumbers, gatherParts, gatherTexts } from "./gathering.js";
import { Reduction } from "./reduction.js";
import type { Shape } from "./shares.js";
import { UNSHARDED } from "./unsharded.js";

/** What of a mesh is asked here. */
export interface Places {
  readonly dimNames: readonly string[];
  readonly rank: number;
  readonly size: number;
  /** Where a rank is in a dimension. */
  coord(dim: string, rank: number): number;
  /** The ranks that differ from this one only in these dimensions. */
  group(dims: readonly string[]): Communicator;
  nextOptimizer(): number;
}

/** What of a layout is. */
interface Cut {
  readonly shardingSpecs: readonly string[];
  readonly mesh: unknown;
}

export class MeshExchange implements Exchange {
  readonly rank: number;
  readonly size: number;
  readonly sums: boolean;
  readonly #mesh: Places;
  /** Along which the batch is split. */
  readonly #batchDims: readonly string[];
  readonly #all: Communicator;
  /** By rank, the first one that has the same part of the batch. */
  readonly #sameBatch: readonly number[];
  /** By the dimensions along which a variable is cut. */
  readonly #placements = new Map<string, Placement>();
  /** By the dimensions that its ranks differ in. */
  readonly #teams = new Map<string, MeshTeam>();

  constructor(mesh: Places, batchDims: readonly string[], sums: boolean) {
    this.#mesh = mesh;
    this.#batchDims = batchDims;
    this.#all = mesh.group(mesh.dimNames);
    this.rank = mesh.rank;
    this.size = mesh.size;
    this.sums = sums;
    const parts = Array.from({ length: mesh.size }, (_, rank) => batchDims.map((dim) => mesh.coord(dim, rank)).join());
    this.#sameBatch = parts.map((part) => parts.indexOf(part));
  }

  nextOptimizer(): number {
    return this.#mesh.nextOptimizer();
  }

  placementOf({ layout, name }: Described): Placement {
    const given = layout as unknown as Cut | undefined;
    if (given && given.mesh !== this.#mesh)
      throw new OptionError(
        `The layout of variable ${name} must be of the optimizer's mesh`,
        `${layout}`,
        "Make it with new Layout(shardingSpecs, mesh), of the mesh that the optimizer has.",
      );
    const cut = this.#mesh.dimNames.filter((dim) => given?.shardingSpecs.includes(dim) && dim !== UNSHARDED);
    const key = cut.join();
    const known = this.#placements.get(key);
    if (known) return known;
    const placement = this.#place(cut);
    this.#placements.set(key, placement);
    return placement;
  }

  #place(cut: readonly string[]): Placement {
    const mesh = this.#mesh;
    const uncut = mesh.dimNames.filter((dim) => !cut.includes(dim));
    const averaged = uncut.filter((dim) => this.#batchDims.includes(dim));
    const repeated = uncut.filter((dim) => !averaged.includes(dim));
    const ranks = Array.from({ length: mesh.size }, (_, rank) => rank);
    const placeIn = (dims: readonly string[], rank: number) => dims.map((dim) => mesh.coord(dim, rank)).join();
    const others = mesh.dimNames.filter((dim) => !averaged.includes(dim));
    // Of ranks that differ only where nothing does, one is enough.
    const firsts = ranks.filter((rank) => repeated.every((dim) => mesh.coord(dim, rank) === 0));
    const teams = new Map<string, number[]>();
    for (const rank of firsts) {
      const part = placeIn(cut, rank);
      teams.set(part, [...(teams.get(part) ?? []), rank]);
    }
    const membersOf = (rank: number) => ranks.filter((other) => placeIn(others, other) === placeIn(others, rank));
    return { team: this.#team(averaged), replicas: this.#team(uncut), membersOf, teams: [...teams.values()] };
  }

  #team(dims: readonly string[]): MeshTeam {
    const key = dims.join();
    const known = this.#teams.get(key);
    if (known) return known;
    const group = this.#mesh.group(dims);
    const members = new Int32Array(group.size);
    members[group.rank] = this.rank;
    group.allgather({ array: members, ...inOrder(new Int32Array(group.size).fill(1)) }, `ranks along ${key}`);
    const team = new MeshTeam(group, [...members]);
    this.#teams.set(key, team);
    return team;
  }

  assertAlike(weights: readonly number[]): void {
    const odd = this.#sameBatch.findIndex((first, rank) => weights[rank] !== weights[first]);
    if (odd < 0) return;
    const first = this.#sameBatch[odd]!;
    throw new OptionError(
      `Ranks that are at the same place along ${this.#batchDims.join(" and ")} have the same part of the batch, and the same weight`,
      `weight=${weights[first]} on rank ${first}, ${weights[odd]} on rank ${odd}`,
      "Give the number of examples in that part.",
    );
  }

  prepare(memory: ArrayBufferLike): void {
    this.#all.prepare(memory);
  }

  gather(own: Float64Array, lengths: readonly number[], label: string, isWithin = false): Float64Array[] {
    const gather = isWithin ? gatherParts : gatherNumbers;
    return gather(this.#all, own, lengths, label);
  }

  gatherTexts(own: string, label: string): string[] {
    return gatherTexts(this.#all, own, label);
  }
}

/** How arrays travel, for the arrays of one step and the next. */
interface Plan {
  readonly model: readonly Shape[];
  readonly ranges: readonly unknown[];
  readonly reduction: Reduction;
}

/** Steps of different variables take turns, as those of two networks do. */
const MOST_PLANS = 8;

class MeshTeam implements Team {
  readonly members: readonly number[];
  readonly place: number;
  readonly #group: Communicator;
  readonly #plans: Plan[] = [];

  constructor(group: Communicator, members: readonly number[]) {
    this.#group = group;
    this.members = members;
    this.place = group.rank;
  }

  reduce(arrays: readonly Reduced[], factors: Float64Array, label: string): void {
    for (const everywhere of [true, false]) {
      const list = arrays.filter(({ ranges }) => (ranges === null) === everywhere);
      if (list.length === 0) continue;
      const into = list.map((one) => one.into);
      const from = list.map((one) => one.from);
      const isInPlace = from.every((array, i) => array === into[i]);
      const reduction = this.#planFor(
        into,
        list.map(({ ranges }) => ranges),
      );
      reduction.sumInRankOrder(isInPlace ? into : from, into, factors, { everywhere, label });
    }
  }

  share(shared: readonly SharedArray[], label: string): void {
    const arrays = shared.map(({ array }) => array);
    const ranges = shared.map((one) => one.ranges);
    this.#planFor(arrays, ranges).allgather(arrays, label);
  }

  broadcast(array: Values, label: string): void {
    if (this.#group.size > 1 && array.length > 0) this.#group.broadcast(array, 0, label);
  }

  #planFor(arrays: readonly Values[], ranges: readonly (Reduced["ranges"] | null)[]): Reduction {
    const fits = ({ model, ranges: known }: Plan) =>
      model.length === arrays.length &&
      arrays.every((array, i) => {
        const { length, dtype } = model[i]!;
        return array.length === length && dtypeOf(array) === dtype && ranges[i] === known[i];
      });
    const known = this.#plans.find(fits);
    if (known) return known.reduction;
    const model = arrays.map((array) => ({ length: array.length, dtype: dtypeOf(array) }));
    const given = ranges[0] === null ? undefined : (ranges as NonNullable<Reduced["ranges"]>[]);
    const reduction = new Reduction(this.#group, model, given);
    this.#plans.push({ model, ranges: [...ranges], reduction });
    if (this.#plans.length > MOST_PLANS) this.#plans.shift();
    return reduction;
  }
}

const dtypeOf = (array: Values): DType => (array instanceof ARRAYS.float32 ? "float32" : "float64");
