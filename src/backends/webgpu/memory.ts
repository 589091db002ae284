/** Arrays of variables in the memory of a device. An arena has one buffer for each of the arrays (values, gradients, state), and a variable lies at
 *  the same place in each of them. No buffer is larger than what a shader can bind, so a large model takes several arenas, and a variable that no
 *  arena holds is cut into parts. */

import type { Device } from "./device.js";
import { TILE } from "./layout.js";
import { NO_PAIRS, type Pairs, widen, writeHalf } from "./pairs.js";
import { USAGE } from "./usage.js";

/** Where an array begins: elements from the start of a buffer. */
export interface Place {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  /** Its elements are float16. */
  readonly isHalf?: boolean;
}

/** Where a part of a variable goes. */
interface Range {
  readonly arena: number;
  /** In elements from the start of the arena. */
  readonly offset: number;
  /** The elements of the variable from `begin` on. */
  readonly begin: number;
  readonly length: number;
}

/** Arrays begin on 256 bytes, so that a shader of the user's can bind them. */
const ALIGNMENT = 64;
/** What so many elements take of an arena. */
export const padded = (length: number): number => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

/** Lays variables of these lengths into arenas of at most `capacity` elements (a multiple of TILE). What fits one arena is not cut. */
export const layOut = (lengths: readonly number[], capacity: number): { variables: Range[][]; arenas: number[] } => {
  const arenas: number[] = [];
  const variables = lengths.map((length) => {
    const ranges: Range[] = [];
    for (let begin = 0; begin < length; begin += capacity) {
      const taken = Math.min(capacity, length - begin);
      const room = padded(taken);
      if (arenas.length === 0 || arenas.at(-1)! + room > capacity) arenas.push(0);
      const arena = arenas.length - 1;
      ranges.push({ arena, offset: arenas[arena]!, begin, length: taken });
      arenas[arena]! += room;
    }
    return ranges;
  });
  return { variables, arenas };
};

/** A buffer for each array, by name. */
type Arena = Map<string, GPUBuffer>;

/** Consecutive elements of a variable that lie in one arena. */
export interface Part {
  readonly arena: Arena;
  /** In each array of the arena. */
  readonly elements: number;
  /** Which of its arrays lie in halves of words. */
  readonly pairs: Pairs;
  /** Where it begins in each array of the arena, in elements. */
  readonly offset: number;
  /** The first of them in the variable. */
  readonly begin: number;
  readonly length: number;
  /** Where value and gradient are: in the arena, unless they have been moved to a buffer of somebody else's. */
  w: Place;
  g: Place;
  /** No other part shares those buffers, and others may take their place in every step: a dispatch of its own, which looks. */
  readonly alone?: boolean;
}

/** The arrays of one variable. */
export class DeviceArrays {
  constructor(
    readonly device: Device,
    readonly parts: readonly Part[],
  ) {}

  /** From now on, the value or the gradient of a part is there. */
  move(part: Part, array: "w" | "g", { buffer, offset, isHalf = false }: Place): void {
    this.moveTo(part, array, buffer, offset, isHalf);
  }

  /** Likewise. Where nothing moves, nothing is made for it. */
  moveTo(part: Part, array: "w" | "g", buffer: GPUBuffer, offset: number, isHalf: boolean): void {
    const before = part[array];
    const isLikewise = offset === before.offset && isHalf === (before.isHalf ?? false);
    if (buffer === before.buffer && isLikewise) return;
    part[array] = { buffer, offset, isHalf };
    if (!(part.alone && isLikewise)) this.device.moves++;
  }

  /** Elements from `begin` on become `values`, before what is enqueued next. What it returns resolves when there was memory for what it needed. */
  write(name: string, begin: number, values: Float32Array<ArrayBuffer>): Promise<unknown> | undefined {
    this.device.assertUsable();
    const memory: Promise<void>[] = [];
    for (const { place, half, from, to } of this.#places(name, begin, begin + values.length)) {
      const own = values.subarray(from - begin, to - begin);
      if (half) memory.push(...writeHalf(this.device, place.buffer, place.offset, half.isLower, own));
      else this.device.write(place.buffer, place.offset * 4, own);
    }
    return memory.length > 0 ? Promise.all(memory) : undefined;
  }

  /** A copy of the elements [begin, end), as all calls before have left them. */
  async read(name: string, begin: number, end: number): Promise<Float32Array<ArrayBuffer>> {
    const values = new Float32Array(end - begin);
    await this.readInto(name, begin, values);
    return values;
  }

  /** Fills `into` with a copy of the elements from `begin` on. */
  async readInto(name: string, begin: number, into: Float32Array | Float64Array): Promise<void> {
    const places = [...this.#places(name, begin, begin + into.length)];
    const copies = places.map(({ place, from, to }) => this.device.read(place.buffer, place.offset * 4, (to - from) * 4));
    for (const [i, bytes] of (await Promise.all(copies)).entries()) {
      const { half, from } = places[i]!;
      into.set(half ? widen(new Uint32Array(bytes), half.isLower) : new Float32Array(bytes), from - begin);
    }
  }

  /** Where the elements [begin, end) of an array are. */
  *#places(
    name: string,
    begin: number,
    end: number,
  ): Generator<{ place: Place; half: ReturnType<Pairs["get"]>; from: number; to: number }> {
    for (const part of this.parts) {
      const from = Math.max(begin, part.begin);
      const to = Math.min(end, part.begin + part.length);
      if (from >= to) continue;
      const { buffer, offset } = placeOf(part, name);
      yield { place: { buffer, offset: offset + from - part.begin }, half: part.pairs.get(name), from, to };
    }
  }
}

/** Where an array of a part begins. */
export const placeOf = (part: Part, name: string): Place => {
  if (name === "w" || name === "g") return part[name];
  return { buffer: part.arena.get(part.pairs.get(name)?.array ?? name)!, offset: part.offset };
};

/** What was allocated together, and is freed together. */
export interface Allocation {
  readonly variables: readonly DeviceArrays[];
  readonly bytes: number;
  /** Resolves when the memory is there, and rejects with BackendError when there is none. */
  readonly ready: Promise<void>;
  /** Twice is harmless. */
  free(): void;
}

const ARRAY_USAGE = USAGE.storage | USAGE.copySource | USAGE.copyTarget;

/** Arrays of these names, all zeros, for variables of these lengths. All or nothing. `capacity`: elements in an array of an arena at most. `pairs`:
 *  what lies in halves of their words. */
export const reserve = (
  device: Device,
  lengths: readonly number[],
  names: readonly string[],
  capacity = arenaCapacity(device),
  pairs = NO_PAIRS,
): Allocation => {
  const { variables, arenas } = layOut(lengths, capacity);
  const bytes = arenas.reduce((sum, elements) => sum + elements, 0) * 4 * names.length;
  const { made, ready } = device.reserve(bytes, () =>
    arenas.map((elements) => new Map(names.map((name) => [name, device.buffer(`array ${name}`, elements * 4, ARRAY_USAGE)]))),
  );
  const partOf = ({ arena: place, offset, begin, length }: Range): Part => {
    const arena = made[place]!;
    const at = (name: string): Place => ({ buffer: arena.get(name)!, offset });
    return { arena, elements: arenas[place]!, pairs, offset, begin, length, w: at("w"), g: at("g") };
  };
  return {
    variables: variables.map((ranges) => new DeviceArrays(device, ranges.map(partOf))),
    bytes,
    ready,
    free() {
      for (const arena of made) for (const buffer of arena.values()) device.free(buffer);
    },
  };
};

/** Likewise, at once.
 *  @throws BackendError when the device has no memory for them. */
export const allocate = async (...given: Parameters<typeof reserve>): Promise<Allocation> => {
  const allocation = reserve(...given);
  await allocation.ready;
  return allocation;
};

/** Gives the arenas of these parts an array more, where they have none of this name. Returns what it waits for, if it made any. */
export const addArray = (
  device: Device,
  parts: readonly Part[],
  name: string,
  bytesPerElement = 4,
): Promise<void> | undefined => {
  const lacking = new Map(parts.filter(({ arena }) => !arena.has(name)).map(({ arena, elements }) => [arena, elements]));
  if (lacking.size === 0) return undefined;
  const bytes = [...lacking.values()].reduce((sum, elements) => sum + elements * bytesPerElement, 0);
  const { ready } = device.reserve(bytes, () => {
    for (const [arena, elements] of lacking)
      arena.set(name, device.buffer(`array ${name}`, elements * bytesPerElement, ARRAY_USAGE));
  });
  ready.catch(() => {
    for (const arena of lacking.keys()) arena.delete(name);
  });
  return ready;
};

/** What a shader can bind, in whole tiles. */
export const arenaCapacity = ({ limits }: Device): number =>
  Math.floor(Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize) / 4 / TILE) * TILE;
