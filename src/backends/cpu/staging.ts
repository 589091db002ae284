/** Brings arrays that lie elsewhere to a pass, a chunk at a time: through slots of memory that are few enough to stay in the cache. */

import type { Gradient, Values } from "../../backend.js";
import * as JOB from "./job.js";
import { CHUNK, type Pointer } from "./layout.js";
import type { CpuRow, Segment, Stager } from "./memory.js";
import type { ClassPlan } from "./plan.js";
import { G, W } from "./sizes.js";

/** A job that works on elements from `begin` on, and which of its arrays lie elsewhere. */
interface StagedJob {
  readonly row: CpuRow;
  readonly plan: ClassPlan;
  readonly begin: number;
  readonly stagesW: boolean;
  readonly stagesG: boolean;
  readonly storesW: boolean;
}

export const isDense = (gradient: Gradient): gradient is Values => ArrayBuffer.isView(gradient);

export class Staging implements Stager {
  readonly #segment: Segment;
  /** By job; those that are missing here need nothing. */
  readonly #planned: (StagedJob | undefined)[] = [];

  constructor(segment: Segment) {
    this.#segment = segment;
  }

  get isNeeded(): boolean {
    return this.#planned.length > 0;
  }

  /** The job that was written last needs this. */
  plan(job: StagedJob): void {
    this.#planned[this.#segment.pending - 1] = job;
  }

  clear(): void {
    this.#planned.length = 0;
  }

  prepare(job: number, slot: number): void {
    const planned = this.#planned[job];
    if (!planned) return;
    const { row, plan, begin, stagesW, stagesG } = planned;
    const { words } = this.#segment;
    const word = this.#segment.wordOf(job);
    const length = words[word + JOB.length]!;
    const w = this.#slot(slot);
    if (stagesW) {
      copy(row.request.foreign!.value, row.begin + begin, length, elementsOf(row), w / row.bytesPerElement);
      words[word + JOB.arrays + plan.arrays.indexOf(W)] = w;
    }
    const g = w + CHUNK * row.bytesPerElement;
    if (stagesG) words[word + JOB.arrays + plan.arrays.indexOf(G)] = this.#prepareGradient(row, begin, length, g);
  }

  /** Elements [begin, begin + length) of the gradient; returns where they are. */
  #prepareGradient(row: CpuRow, begin: number, length: number, slot: Pointer): Pointer {
    const { gradient } = row;
    if (gradient === null) return this.#segment.zeros;
    if (isDense(gradient)) copy(gradient, row.begin + begin, length, elementsOf(row), slot / row.bytesPerElement);
    else {
      const from = row.begin + begin;
      if (begin === 0) row.sparse.rewind();
      if (!row.sparse.touches(from, from + length)) return this.#segment.zeros;
      row.sparse.write(from, from + length, elementsOf(row), slot / row.bytesPerElement);
    }
    return slot;
  }

  complete(job: number, slot: number): void {
    const planned = this.#planned[job];
    if (!planned?.stagesW || !planned.storesW) return;
    const { row, begin } = planned;
    const length = this.#segment.words[this.#segment.wordOf(job) + JOB.length]!;
    const from = this.#slot(slot) / row.bytesPerElement;
    row.request.foreign!.target().set(elementsOf(row).subarray(from, from + length), row.begin + begin);
  }

  /** A slot has room for a chunk of w, where it begins, and one of g. */
  #slot(slot: number): Pointer {
    const { staging, slotBytes } = this.#segment;
    return staging + slot * slotBytes;
  }
}

/** The segment's memory in the dtype of a row. */
const elementsOf = ({ segment, request }: CpuRow): Values => segment[request.variable.dtype];

const copy = (source: Values, begin: number, count: number, target: Values, at: number): void => {
  target.set(count === source.length ? source : source.subarray(begin, begin + count), at);
};
