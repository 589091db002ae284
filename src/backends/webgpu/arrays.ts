/** The arrays of a pass in the text of its shader: how they are declared, what is loaded from them, and how it is stored. */

import type { Pass, Program } from "../../rule/program.js";
import type { Width } from "./arithmetic.js";
import { BINDING, partWord } from "./layout.js";
import { NO_PAIRS, type Pairs } from "./pairs.js";

/** What arrays are made of where it is not float32. */
export interface Halves {
  /** The gradient is float16. */
  readonly gradient: boolean;
  /** The new value is also written as float16, to the array "half". Elements four at a time only. */
  readonly copy: boolean;
  /** Slots that are bfloat16. */
  readonly pairs: Pairs;
}
export const NO_HALVES: Halves = { gradient: false, copy: false, pairs: NO_PAIRS };

/** An array as the text of a shader names it. */
interface BoundArray {
  readonly array: string;
  readonly name: string;
  /** The word of a part that says where it begins. */
  readonly offset: "w" | "g" | "state";
  readonly type: string;
  readonly access: "read" | "read_write";
  readonly element: string;
}

/** A float16 copy of the value. */
const COPY = "half";

export class PassArrays {
  readonly #program: Program;
  readonly #pass: Pass;
  readonly #width: Width;
  readonly #halves: Halves;
  /** By the name that memory has for them. */
  readonly #bound = new Map<string, BoundArray>();
  /** The node that is the new value, where it is copied. */
  readonly copied: number | null;

  constructor(program: Program, pass: Pass, width: Width, halves: Halves) {
    this.#program = program;
    this.#pass = pass;
    this.#width = width;
    this.#halves = halves;
    const stored = new Set(pass.stores.map(({ buffer }) => this.#arrayOf(buffer)));
    for (const buffer of touched(pass)) {
      const array = this.#arrayOf(buffer);
      if (!this.#bound.has(array)) this.#bound.set(array, this.#bind(array, buffer, stored.has(array)));
    }
    const value = pass.stores.find(({ buffer }) => program.buffers[buffer] === "w");
    this.copied = halves.copy && value ? value.node : null;
  }

  #arrayOf(buffer: number): string {
    const name = this.#program.buffers[buffer]!;
    return this.#halves.pairs.get(name)?.array ?? name;
  }

  #bind(array: string, buffer: number, isStored: boolean): BoundArray {
    const isHalf = this.#halves.gradient && array === "g";
    const name = `array${buffer}_${array.replace(/[^A-Za-z0-9]/g, "_")}`; // a slot's name may be any text
    const offset = array === "w" || array === "g" ? array : "state";
    const type = !isHalf ? "Bits" : this.#width === 4 ? "vec2<u32>" : "u32";
    return { array, name, offset, type, access: isStored ? "read_write" : "read", element: `${name}[${offset}At + k]` };
  }

  /** What is bound, in the order of the bindings. */
  get names(): string[] {
    return [...this.#bound.keys(), ...(this.copied === null ? [] : [COPY])];
  }

  get declarations(): string[] {
    const own = [...this.#bound.values()].map(({ name, type, access }) => `var<storage, ${access}> ${name}: array<${type}>;`);
    if (this.copied !== null) own.push(`var<storage, read_write> ${COPY}: array<vec2<u32>>;`);
    return own.map((text, i) => `@group(0) @binding(${BINDING.arrays + i}) ${text}`);
  }

  /** Where the elements of a unit begin, before its loop. */
  get places(): string[] {
    const offsets = new Set([...this.#bound.values()].map(({ offset }) => offset));
    if (this.copied !== null) offsets.add("state");
    const places = [...offsets].map(
      (offset) => `let ${offset}At = table[place + ${partWord(offset)}] / ${this.#width}u + begin;`,
    );
    if (this.#storedPairs.length > 0)
      places.push(`let elements = Bits(table[place + ${partWord("element")}] + ${this.#width}u * begin)${LANES[this.#width]};`);
    return places;
  }

  /** The words of pairs, at the beginning of the loop. */
  get words(): string[] {
    const words = new Set([...this.#halves.pairs.values()].map(({ array }) => array));
    return [...this.#bound.values()]
      .filter(({ array }) => words.has(array))
      .map(({ name, element }) => `let word_${name} = ${element};`);
  }

  /** What a node that loads is. */
  loaded(buffer: number): string {
    const { name, element } = this.#bound.get(this.#arrayOf(buffer))!;
    const own = this.#program.buffers[buffer]!;
    const half = this.#halves.pairs.get(own);
    if (half) return `${half.isLower ? "lowerOf" : "upperOf"}(word_${name})`;
    if (!(this.#halves.gradient && own === "g")) return element;
    if (this.#width === 4) return `widened(unpacked(${element}))`;
    return `widened((${name}[(gAt + k) >> 1u] >> (((gAt + k) & 1u) * 16u)) & 0xffffu)`;
  }

  /** The end of the loop. */
  get written(): string[] {
    const { pairs } = this.#halves;
    const plain = this.#pass.stores.filter(({ buffer }) => !pairs.has(this.#program.buffers[buffer]!));
    const written = plain.map(({ buffer, node }) => `${this.#bound.get(this.#arrayOf(buffer))!.element} = n${node};`);
    for (const [number, { array, name, element }] of this.#storedPairs.entries()) {
      const newOf = (isLower: boolean) =>
        this.#pass.stores.find(({ buffer }) => {
          const half = pairs.get(this.#program.buffers[buffer]!);
          return half?.array === array && half.isLower === isLower;
        });
      const [upper, lower] = [newOf(false), newOf(true)];
      const random = `random_${name}`;
      written.push(
        `let ${random} = scrambled((elements + Bits(${this.#width}u * k)) ^ Bits(table[0] + ${number}u * 0x9e3779b9u));`,
        `${element} = ${upper ? `atRandom(n${upper.node}, ${random} & Bits(0xffffu))` : `upperOf(word_${name})`}
      | ${lower ? `(atRandom(n${lower.node}, ${random} >> Bits(16u)) >> Bits(16u))` : `(word_${name} & Bits(0xffffu))`};`,
      );
    }
    if (this.copied !== null) written.push(`${COPY}[stateAt + k] = packed(narrowed(n${this.copied}));`);
    return written;
  }

  /** Pairs of which this pass stores at least one half. */
  get #storedPairs(): BoundArray[] {
    const { pairs } = this.#halves;
    const stored = new Set(this.#pass.stores.flatMap(({ buffer }) => pairs.get(this.#program.buffers[buffer]!)?.array ?? []));
    return [...this.#bound.values()].filter(({ array }) => stored.has(array));
  }
}

const LANES: Readonly<Record<Width, string>> = { 1: "", 4: " + vec4(0u, 1u, 2u, 3u)" };

/** The arrays that a pass touches, by their place in the program. */
const touched = ({ nodes, stores }: Pass): number[] => {
  const loaded = nodes.flatMap((node) => (node.kind === "load" ? [node.buffer] : []));
  return [...new Set([...loaded, ...stores.map(({ buffer }) => buffer)])].sort((a, b) => a - b);
};
