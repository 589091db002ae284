/// <reference lib="esnext.disposable" preserve="true" />
/** Ranks in rows and columns: a mesh, as in DTensor. */

import type { Backend, Ranks } from "../backend.js";
import { near, RankedBackend } from "../backends/ranks/ranked.js";
import { BackendError, OptionError, show } from "../errors.js";
import { arrayOf, type Checked, checkKinds, flag, isObject, type Kind, oneOf, optional, positive, text } from "../kinds.js";
import { LearningRateSchedule } from "../schedules/schedule.js";
import { alone } from "./alone.js";
import type { Communicator, World } from "./communicator.js";
import { MeshExchange } from "./exchange.js";
import { gatherNumbers, gatherTexts } from "./gathering.js";
import { launcherOf } from "./launcher.js";
import { meet } from "./meeting.js";
import { UNSHARDED } from "./unsharded.js";

/** The name and the size of a dimension; -1: as many as are left. */
export type MeshDimension = readonly [name: string, size: number];

/** What createMesh can be told. */
export interface MeshOptions {
  /** Milliseconds that a rank waits for others in one call before the job is ended on all of them. Above 0, default 300,000 (five minutes);
   *  Infinity, for debuggers: however long. It holds for every mesh of the process: the last one that was made says it. */
  timeout?: number;
  /** What becomes of the gradients of the ranks. Default "mean". */
  reduction?: "mean" | "sum";
  /** The dimensions along which the batch is split: gradients are averaged along these. Default: "batch" where there is such a dimension, else all. */
  batchDims?: readonly string[] | null;
  /** Whether ranks that hold the same variables share their state: each keeps that of its share, and makes the steps of that. Default null: where
   *  it pays, from 16,384 parameters for each rank on. The bits do not depend on it. */
  shardState?: boolean | null;
}

/** The ranks of a job, each at a place in one or several named dimensions. Rank after rank, the last dimension runs fastest. */
export class Mesh implements Ranks {
  readonly dimNames: readonly string[];
  /** Sizes of the dimensions. */
  readonly shape: readonly number[];
  /** Ranks. */
  readonly size: number;
  /** This process, from 0 on. */
  readonly rank: number;
  /** Ranks on this machine, this one included: as many share its cores. */
  readonly ranksOnHost: number;
  readonly #world: World;
  readonly #options: Checked<Omit<MeshOptions, "timeout">>;
  readonly #groups = new Map<string, Communicator>();
  #isDisposed = false;

  /** @internal Use createMesh. */
  constructor(dimensions: readonly MeshDimension[], world: World, options: Checked<Omit<MeshOptions, "timeout">> = DEFAULTS) {
    if (!isObject(world)) throw new OptionError("A mesh is made of ranks", "no ranks", "Call await createMesh(dimensions).");
    this.dimNames = dimensions.map(([name]) => name);
    this.shape = dimensions.map(([, size]) => size);
    this.size = world.all.size;
    this.rank = world.all.rank;
    this.ranksOnHost = world.ranksOnHost;
    this.#world = world;
    this.#options = options;
  }

  /** What an optimizer with this mesh runs its steps on; the optimizer calls it. No rank is asked.
   *  @throws BackendError for a backend on a device. */
  around(backend: Backend, options: Readonly<Record<string, unknown>>): Backend {
    const { batchDims, reduction, shardState } = this.#options;
    const own = near(backend); // on one rank as on many
    if (this.size === 1) return own;
    const exchange = new MeshExchange(this, batchDims ?? this.#splitDims, reduction === "sum");
    return new RankedBackend(own, exchange, { shardState, options: factsOf(options) });
  }

  /** Does this rank's own work, which comes to `count` numbers, and gives back those of every rank. Every rank must call it. `label` says in errors what for.
   *  @throws on every rank where it throws on one. */
  meet(label: string, count: number, work: () => Promise<readonly number[]>): Promise<number[][]> {
    return meet((own, label) => this.gather(own, label), label, count, work);
  }

  get #splitDims(): readonly string[] {
    return this.containsDim("batch") ? ["batch"] : this.dimNames;
  }

  /** What this rank has sent to others so far: in all, not counting what MPI adds. */
  get bytesSent(): number {
    const groups = [this.#world.all, ...this.#groups.values()];
    return groups.reduce((sum, group) => sum + group.bytesSent, 0);
  }

  /** The numbers of every rank, in the order of ranks: as many of each. Every rank must call it. `label` says what for, the same on each.
   *  @throws BackendError, on every rank, where one is in another call. */
  gather(own: readonly number[], label: string): number[][] {
    const lengths = new Array<number>(this.size).fill(own.length);
    return gatherNumbers(this.group(this.dimNames), Float64Array.from(own), lengths, label).map((numbers) => [...numbers]);
  }

  containsDim(name: string): boolean {
    return this.dimNames.includes(name);
  }

  /** The size of a dimension.
   *  @throws OptionError when there is none of this name. */
  dimSize(name: string): number {
    return this.shape[this.#placeOf(name)]!;
  }

  /** Where a rank is in each dimension, each from 0 on. Default: this one. */
  coords(rank: number = this.rank): number[] {
    if (!(Number.isInteger(rank) && rank >= 0 && rank < this.size))
      throw new OptionError("This mesh has no such rank", show(rank), `Ranks go from 0 to ${this.size - 1}.`);
    const coords: number[] = [];
    let rest = rank;
    for (let axis = this.shape.length - 1; axis >= 0; axis--) {
      coords.unshift(rest % this.shape[axis]!);
      rest = Math.floor(rest / this.shape[axis]!);
    }
    return coords;
  }

  /** Where a rank is in one dimension, from 0 on. Default: this one. */
  coord(name: string, rank?: number): number {
    return this.coords(rank)[this.#placeOf(name)]!;
  }

  /** @internal The ranks that differ from this one only in these dimensions. When first asked for, all ranks of the mesh must ask, alike. */
  group(names: readonly string[]): Communicator {
    if (this.#isDisposed)
      throw new BackendError("The mesh has been disposed", "an exchange between its ranks", "Dispose it as the last thing.");
    const places = names.map((name) => this.#placeOf(name));
    const others = this.shape.map((_, axis) => axis).filter((axis) => !places.includes(axis) && this.shape[axis]! > 1);
    if (others.length === 0) return this.#world.all;
    const key = others.join();
    const group = this.#groups.get(key) ?? this.#world.all.split(this.#indexIn(others), `ranks along ${names.join(" and ")}`);
    this.#groups.set(key, group);
    return group;
  }

  /** The number of this rank's place, of all places in these axes. */
  #indexIn(axes: readonly number[]): number {
    const coords = this.coords();
    return axes.reduce((index, axis) => index * this.shape[axis]! + coords[axis]!, 0);
  }

  /** @internal The number of an optimizer that all ranks are building. */
  nextOptimizer(): number {
    return ++this.#world.optimizers;
  }

  #placeOf(name: string): number {
    const place = this.dimNames.indexOf(name);
    if (place >= 0) return place;
    throw new OptionError("The mesh has no such dimension", show(name), `It has ${this.dimNames.map(show).join(", ")}.`);
  }

  /** Waits until every rank has called it, and ends MPI with the last mesh of the process. Happens by itself where a program comes to its end;
   *  call it before process.exit. Twice is harmless. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#world.close();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `mesh ${this.dimNames.map((name, axis) => `${name}=${this.shape[axis]}`).join(", ")}`;
  }

  /** As of Variable. */
  get [Symbol.toStringTag](): string {
    return "Mesh";
  }
}

/** A mesh of the ranks that mpirun started, each of which must call this, alike. Without mpirun it is a mesh of one.
 *  `dimensions`: names and sizes; the product of the sizes is the number of ranks, and one of them may be -1.
 *  @throws OptionError for dimensions or options that cannot be; BackendError where koffi or MPI is missing, or this process was started by
 *  another MPI's mpirun. */
export const createMesh = async (dimensions: readonly MeshDimension[], options: MeshOptions = {}): Promise<Mesh> => {
  const { timeout, ...checked } = checkMeshOptions(options);
  checkDimensions(dimensions);
  checkBatchDims(dimensions, checked.batchDims);
  const launcher = launcherOf(globalThis.process?.env ?? {});
  const isAlone = launcher === null || launcher.size === 1;
  const world = isAlone ? alone() : await (await import("./mpi-world.js")).openMpiWorld(launcher, timeout);
  const sized = sizedFor(world.all.size, dimensions);
  agree(world.all, sized, checked);
  return new Mesh(sized, world, checked);
};

const timeout: Kind<number> = {
  wanted: "a number of milliseconds above 0, or Infinity",
  holds: (value) => positive.holds(value) || value === Number.POSITIVE_INFINITY,
};

/** What DTensor's functions take, and what to do where each process is one rank. */
const SINGLE_CONTROLLER: Readonly<Record<string, string>> = {
  devices: "Leave it out: mpirun says which processes there are and where they run (-n, --host).",
  deviceType: "Leave it out: each rank computes on the backend of its optimizer.",
  localDevices: "Leave it out: each process is one rank.",
  numGlobalDevices: "Leave it out: mpirun -n says how many ranks there are.",
};

const checkMeshOptions = (options: MeshOptions): Checked<MeshOptions> => {
  for (const [name, remedy] of Object.entries(SINGLE_CONTROLLER))
    if (name in Object(options))
      throw new OptionError(
        "A mesh is made of processes here, not of one process' devices",
        `${name}=${show((options as Record<string, unknown>)[name])}`,
        remedy,
      );
  return checkKinds("createMesh", options, {
    timeout: optional(timeout, 300_000),
    reduction: optional(oneOf("mean", "sum"), "mean"),
    batchDims: optional(arrayOf(text, 1), null),
    shardState: optional(flag, null),
  });
};

const DEFAULTS: Checked<Omit<MeshOptions, "timeout">> = { reduction: "mean", batchDims: null, shardState: null };

const checkBatchDims = (dimensions: readonly MeshDimension[], batchDims: readonly string[] | null): void => {
  const names = dimensions.map(([name]) => name);
  const unknown = batchDims?.find((dim) => !names.includes(dim));
  if (unknown !== undefined)
    throw new OptionError("batchDims names dimensions of the mesh", show(unknown), `There are ${names.map(show).join(", ")}.`);
};

/** What of an optimizer's options must be the same on every rank: all but where it computes. */
const factsOf = ({ backend, threads, mesh, jitCompile, ...options }: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [name, plain(value)]));

/** As JSON has it. */
const plain = (value: unknown): unknown => {
  if (typeof value === "function") return "a function";
  if (value instanceof LearningRateSchedule) return [value.constructor.name, value.getConfig()];
  if (value instanceof RegExp) return `${value}`;
  if (ArrayBuffer.isView(value) || (isObject(value) && "layout" in value)) return `${value}`.slice(0, 1000);
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
};

const checkDimensions = (dimensions: readonly MeshDimension[]): void => {
  const refuse = (wrong: string, received: string): never => {
    const example = 'Give, for example, [["batch", -1]] or [["batch", 2], ["model", 2]].';
    throw new OptionError(`The dimensions of a mesh ${wrong}`, received, example);
  };
  const isDimension = (entry: unknown) =>
    Array.isArray(entry) && entry.length === 2 && typeof entry[0] === "string" && entry[0] !== "" && isSize(entry[1]);
  if (!Array.isArray(dimensions) || dimensions.length === 0) refuse("are an array of one or more", show(dimensions));
  for (const entry of dimensions)
    if (!isDimension(entry)) refuse("are each a name and a size, an integer of 1 or more, or -1", show(entry));
  const names = dimensions.map(([name]) => name);
  if (names.includes(UNSHARDED))
    refuse(`cannot be called ${show(UNSHARDED)}, which stands for none of them`, inWords(dimensions));
  if (new Set(names).size < names.length) refuse("must have different names", inWords(dimensions));
  if (dimensions.filter(([, size]) => size === -1).length > 1) refuse("can have the size -1 only once", inWords(dimensions));
};
const isSize = (size: unknown) => Number.isInteger(size) && ((size as number) > 0 || size === -1);

const inWords = (dimensions: readonly MeshDimension[]): string => dimensions.map(([name, size]) => `${name}=${size}`).join(", ");

/** With a size in the place of -1.
 *  @throws OptionError unless the sizes make so many ranks. */
const sizedFor = (ranks: number, dimensions: readonly MeshDimension[]): MeshDimension[] => {
  const given = dimensions.filter(([, size]) => size > 0).reduce((product, [, size]) => product * size, 1);
  const isOpen = dimensions.some(([, size]) => size === -1);
  if (isOpen ? ranks % given === 0 : ranks === given)
    return dimensions.map(([name, size]) => [name, size === -1 ? ranks / given : size]);
  throw new OptionError(
    isOpen ? "The sizes of a mesh must divide the number of ranks" : "The sizes of a mesh must make up the number of ranks",
    `${inWords(dimensions)} (${given}) for ${ranks} ${ranks === 1 ? "rank" : "ranks"}`,
    `Start ${isOpen ? "a multiple of " : ""}${given} ranks: mpirun -n ${given} node program.js. Or change a size; -1 takes as many as are left.`,
  );
};

/** @throws OptionError, on every rank, unless all make the same mesh. */
const agree = (all: Communicator, dimensions: readonly MeshDimension[], options: object): void => {
  const set = Object.entries(options).filter(([name, value]) => value !== DEFAULTS[name as keyof typeof DEFAULTS]);
  const words = [inWords(dimensions), ...set.map(([name, value]) => `${name} ${value}`)].join(", ");
  const [first, ...others] = gatherTexts(all, words, "the dimensions of the mesh");
  const odd = others.findIndex((text) => text !== first);
  if (odd >= 0)
    throw new OptionError(
      "Every rank must make the same mesh",
      `${first} on rank 0, ${others[odd]} on rank ${odd + 1}`,
      "Make it alike.",
    );
};
