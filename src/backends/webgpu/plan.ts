/** What a step over given variables runs: a table of them on the device, and for each pass a few dispatches, bound once. */

import { BackendError } from "../../errors.js";
import type { Pass, Program } from "../../rule/program.js";
import type { Width } from "./arithmetic.js";
import { type Halves, NO_HALVES } from "./arrays.js";
import { compileNarrow, compilePass } from "./compiler.js";
import type { Device } from "./device.js";
import { BINDING, constants, DISPATCH, type DispatchWords, PART, type Shader, TILE } from "./layout.js";
import { type Part, placeOf } from "./memory.js";
import { THREADS } from "./norms.js";
import { compileJoin, compileScalars } from "./scalars.js";
import { makeTable, type Range, type StepRow, type Table } from "./table.js";
import { USAGE } from "./usage.js";

/** One dispatch, ready to be encoded. */
interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly bound: Bound;
  readonly x: number;
  readonly y: number;
}

/** What is bound to a dispatch. */
interface Bound {
  readonly bindGroup: GPUBindGroup;
}

/** What WebGPU guarantees: uniforms may begin on so many bytes, and a dispatch may have so many workgroups along an axis. */
const SLOT_BYTES = 256;
const MOST_WORKGROUPS = 65535;

export class Plan {
  readonly #device: Device;
  /** Those that are not alike, mostly one or two; and which of them is that of a class. */
  readonly #programs: readonly Program[];
  readonly #programOf: readonly number[];
  /** Where in the table the scalars of a class begin, and where all of them end. */
  readonly #scalarsOf: readonly number[];
  readonly #scalars: number;
  readonly passes: number;
  /** The most sums that a pass writes for a span. */
  readonly #sums: number;
  /** What one part needs in the totals, in units of four words. */
  readonly #constantsPerPart: number;
  readonly #sumsPerPart: number;
  readonly #buffers = new Map<string, GPUBuffer>();
  /** The variables that it is for, and the moves that had been made by then. */
  #rows: readonly StepRow[] = [];
  #moves = 0;
  #dispatches: Dispatch[][] = [];

  /** `programs`: one for each class. They have the same passes and sums, as those of one optimizer do. */
  constructor(device: Device, programs: readonly Program[], scalarsOf: readonly number[], scalars: number) {
    this.#device = device;
    this.#scalarsOf = scalarsOf;
    this.#scalars = scalars;
    const texts = programs.map(textOf);
    const distinct = [...new Set(texts)];
    this.#programs = distinct.map((text) => programs[texts.indexOf(text)]!);
    this.#programOf = texts.map((text) => distinct.indexOf(text));
    this.passes = Math.max(...programs.map(({ passes }) => passes.length));
    this.#sums = Math.max(...programs.flatMap(({ passes }) => passes.map(({ sums }) => sums.length)));
    this.#sumsPerPart = this.#sums * (this.passes - 1);
    this.#constantsPerPart = Math.max(...programs.map((program) => Math.ceil(constants(program).length / 4)));
  }

  /** Whether it is for a step over these variables, so that nothing new is needed on the device. */
  isFor(rows: readonly StepRow[], count: number): boolean {
    const planned = this.#rows;
    if (count !== planned.length || this.#device.moves !== this.#moves || !this.#buffers.has("table")) return false;
    for (let i = 0; i < count; i++) if (rows[i] !== planned[i]) return false;
    return true;
  }

  /** Makes it for these variables. What it returns resolves when there was memory for it. */
  make(rows: readonly StepRow[]): Promise<unknown> | undefined {
    const table = makeTable(rows, this.#programOf, this.#scalarsOf, this.#programs.map(mergeable));
    const memory = this.#writeTable(table);
    this.#dispatches = Array.from({ length: this.passes }, (_, pass) => this.#dispatchesOf(pass, table));
    this.#rows = rows;
    this.#moves = this.#device.moves;
    return memory;
  }

  /** The dispatches of a pass, and of what becomes known by it. */
  of(pass: number): readonly Dispatch[] {
    return this.#dispatches[pass]!;
  }

  /** Of all passes together. */
  get dispatches(): number {
    return this.#dispatches.reduce((sum, { length }) => sum + length, 0);
  }

  /** Where a step brings its scalars: to the beginning of the table. */
  get table(): GPUBuffer {
    return this.#buffers.get("table")!;
  }

  /** Where scalars wait, of as many steps as may, until the table is theirs. */
  get waiting(): GPUBuffer {
    return this.#buffers.get("waiting")!;
  }

  /** Frees what is on the device. Twice is harmless. */
  dispose(): void {
    for (const buffer of this.#buffers.values()) this.#device.free(buffer);
    this.#buffers.clear();
    this.#rows = [];
  }

  /** Brings the table to the device, and what each dispatch is told: groups, sections, and the joining of sums, in this order. */
  #writeTable({ words, parts, tiles, spans, large, groups, sections }: Table): Promise<unknown> | undefined {
    const partsAt = this.#scalars;
    const tilesAt = partsAt + parts * PART.length;
    const spansAt = tilesAt + tiles;
    const partSumsAt = spans * this.#sums;
    const constantsAt = partSumsAt + parts * this.#sumsPerPart;
    const told = (own: Range, listAt = 0): DispatchWords => ({
      ...{ zero: 0, count: own.count, first: own.first, listAt, allParts: parts, partsAt, partSumsAt, constantsAt },
      ...{ sumsPerPart: this.#sumsPerPart, constantsPerPart: this.#constantsPerPart },
    });
    const dispatches = [
      ...groups.flatMap((own) => [told(own.tiles, tilesAt), told(own.spans, spansAt)]),
      ...sections.map((own) => told(own)),
      told({ first: 0, count: large }, spansAt + spans),
    ];
    const slots = new Uint32Array((dispatches.length * SLOT_BYTES) / 4);
    for (const [slot, one] of dispatches.entries())
      slots.set(
        DISPATCH.map((name) => one[name]),
        (slot * SLOT_BYTES) / 4,
      );
    const { storage, uniform, copySource, copyTarget } = USAGE;
    const { waiting } = this.#device.commands;
    const memory = [
      this.#reserve("table", (partsAt + words.length) * 4, storage | copyTarget),
      this.#reserve("totals", (constantsAt + parts * this.#constantsPerPart) * 16, storage),
      this.#reserve("slots", slots.byteLength, uniform | copyTarget),
      waiting > 1 ? this.#reserve("waiting", 4 * waiting * this.#scalars, copySource | copyTarget) : undefined,
    ].filter((ready) => ready !== undefined);
    this.#device.write(this.#buffers.get("table")!, partsAt * 4, words);
    this.#device.write(this.#buffers.get("slots")!, 0, slots);
    return memory.length > 0 ? Promise.all(memory) : undefined;
  }

  #dispatchesOf(pass: number, { groups, sections, large }: Table): Dispatch[] {
    const dispatches: Dispatch[] = [];
    for (const [i, { program, width, halves, tiles, spans, sample }] of groups.entries()) {
      const addsUp = this.#programs[program]!.passes[pass]!.sums.length > 0;
      const [slot, { count }] = addsUp ? [2 * i + 1, spans] : [2 * i, tiles];
      dispatches.push(this.#dispatch(`pass ${pass}`, this.#passShader(program, pass, width, halves), slot, count, sample));
      if (halves.copy && width === 1 && storesValue(this.#programs[program]!, pass))
        dispatches.push(this.#dispatch("float16 copies", NARROW, 2 * i, tiles.count, sample));
    }
    if (pass + 1 === this.passes) return dispatches;
    if (large > 0)
      dispatches.push(
        this.#dispatch(`sums of pass ${pass}`, compileJoin(pass, this.#sums), 2 * groups.length + sections.length, large),
      );
    for (const [i, { program, count }] of sections.entries()) {
      const shader = compileScalars(this.#programs[program]!, pass + 1, this.#sums);
      const workgroups = Math.ceil(count / THREADS);
      if (shader) dispatches.push(this.#dispatch(`scalars of pass ${pass + 1}`, shader, 2 * groups.length + i, workgroups));
    }
    return dispatches;
  }

  /** `sample`: a part that lies in the buffers of the shader's arrays. */
  #dispatch(label: string, { text, usesTotals, arrays }: Shader, slot: number, workgroups: number, sample?: Part): Dispatch {
    const pipeline = this.#device.pipeline(label, text);
    const own = (name: string) => this.#buffers.get(name)!;
    const bind = (): GPUBindGroup => {
      const entries: GPUBindGroupEntry[] = [
        { binding: BINDING.dispatch, resource: { buffer: own("slots"), offset: slot * SLOT_BYTES, size: SLOT_BYTES } },
        { binding: BINDING.table, resource: { buffer: own("table") } },
        ...(usesTotals ? [{ binding: BINDING.totals, resource: { buffer: own("totals") } }] : []),
        ...arrays.map((name, i) => ({ binding: BINDING.arrays + i, resource: whole(placeOf(sample!, name).buffer) })),
      ];
      return this.#device.gpu.createBindGroup({ label, layout: pipeline.getBindGroupLayout(0), entries });
    };
    const bound = sample?.alone ? new Rebound(sample, bind) : { bindGroup: bind() };
    const x = Math.min(workgroups, MOST_WORKGROUPS);
    return { pipeline, bound, x, y: Math.ceil(workgroups / MOST_WORKGROUPS) };
  }

  #passShader(program: number, pass: number, width: Width, halves: Halves): Shader {
    const own = { ...halves, copy: halves.copy && width === 4 };
    return compilePass(this.#programs[program]!, pass, width, this.#sums, this.#device.corrections, own);
  }

  /** A buffer that holds so many bytes: the one that is there, or a new one. */
  #reserve(name: "table" | "totals" | "slots" | "waiting", bytes: number, usage: number): Promise<void> | undefined {
    const held = this.#buffers.get(name);
    if (held && held.size >= bytes) return undefined;
    if (held) this.#device.free(held);
    const make = () => this.#device.buffer(name, Math.max(16, bytes), usage);
    if (this.#device.commands.waiting > 1) {
      this.#buffers.set(name, make()); // steps that wait for others' commands do not wait for memory: nobody would be told
      return undefined;
    }
    const { made, ready } = this.#device.reserve(bytes, make);
    this.#buffers.set(name, made);
    ready.catch(() => {
      if (this.#buffers.get(name) === made) this.dispose(); // a later step begins anew
    });
    return ready;
  }
}

/** What shaders can bind of a buffer: whole words. */
const whole = (buffer: GPUBuffer): GPUBufferBinding =>
  buffer.size % 4 ? { buffer, size: buffer.size - (buffer.size % 4) } : { buffer };

const NARROW = compileNarrow();

/** How many elements of a program may be taken for one variable. Where norms are asked for, none, but for a norm of the model to which the room between
 *  variables, where every gradient is 0, adds nothing: then a tile, whose sum need not be joined. */
const mergeable = ({ buffers, scalars, passes }: Program): number => {
  if (passes.length === 1) return Number.POSITIVE_INFINITY;
  const isZeroWithGradient = (pass: Pass, place: number): boolean => {
    const node = pass.nodes[place]!;
    if (node.kind === "load") return buffers[node.buffer] === "g";
    if (node.kind === "uniform" || !["mul", "div", "neg", "abs", "flush"].includes(node.operation)) return false;
    const [first, ...rest] = node.inputs;
    return isZeroWithGradient(pass, first!) && rest.every((input) => pass.nodes[input]!.kind === "uniform");
  };
  const isOfModel = scalars.every((scalar) => scalar.kind !== "norm" || scalar.scope === "model");
  return isOfModel && passes.every((pass) => pass.sums.every((place) => isZeroWithGradient(pass, place))) ? TILE : 0;
};

const storesValue = ({ buffers, passes }: Program, pass: number): boolean =>
  passes[pass]!.stores.some(({ buffer }) => buffers[buffer] === "w");

/** Of a part whose buffers change from step to step. What was bound is kept: the buffers come back. */
class Rebound implements Bound {
  readonly #kept = new WeakMap<GPUBuffer, WeakMap<GPUBuffer, GPUBindGroup>>();

  constructor(
    readonly part: Part,
    readonly bind: () => GPUBindGroup,
  ) {}

  get bindGroup(): GPUBindGroup {
    const { w, g } = this.part;
    const byValue = this.#kept.get(g.buffer) ?? new WeakMap<GPUBuffer, GPUBindGroup>();
    const bindGroup = byValue.get(w.buffer) ?? this.bind();
    this.#kept.set(g.buffer, byValue.set(w.buffer, bindGroup));
    return bindGroup;
  }
}

/** A program without the values of its constants: those are given to it. */
const textOf = (program: Program): string => JSON.stringify(program, (key, value) => (key === "value" ? undefined : value));

/** @throws BackendError when a pass needs more arrays than the device binds at once. */
export const assertBindable = ({ limits, corrections }: Device, programs: readonly Program[], halves = NO_HALVES): void => {
  const most = limits.maxStorageBuffersPerShaderStage;
  for (const program of programs)
    for (const pass of program.passes.keys()) {
      const { arrays, usesTotals } = compilePass(program, pass, 4, 1, corrections, halves);
      const needed = arrays.length + (usesTotals ? 2 : 1);
      if (needed > most)
        throw new BackendError(
          "This step reads and writes more arrays at once than the GPU device binds to a shader",
          `${arrays.join(", ")}, with ${needed} buffers; maxStorageBuffersPerShaderStage is ${most}`,
          "Leave out the average, the accumulation or the float16 copies, ask your device for a higher limit, or use the backend wasm.",
        );
    }
};
