/** Numbers and texts of every rank. With their numbers ranks say which call they are in. One may have come to another call, by a branch that it alone took or
 *  an error that it alone caught: MPI would take the numbers of one call for those of the other. */

import { checksum, mixed } from "../backends/ranks/agreement.js";
import { BackendError } from "../errors.js";
import { type Communicator, inOrder } from "./communicator.js";

/** Numbers in the first message of each rank: which call it is, and what it says there if that is so short. */
const ROOM = 8;

/** The numbers of every rank of a group, `lengths` of each.
 *  @throws BackendError, on every rank, where ranks are in different calls: their labels differ before the first colon, or what they expect. */
export const gatherNumbers = (
  group: Communicator,
  own: Float64Array,
  lengths: readonly number[],
  label: string,
): Float64Array[] => {
  const { rank, size } = group;
  const isShort = lengths.every((length) => length < ROOM);
  const first = new Float64Array(ROOM * size);
  first[ROOM * rank] = lengths.reduce(mixed, checksum(callOf(label)));
  if (isShort) first.set(own, ROOM * rank + 1);
  gatherParts(group, first, new Array<number>(size).fill(ROOM), label);
  for (let r = 0; r < size; r++) if (first[ROOM * r] !== first[ROOM * rank]) refuseOtherCall(group, label);
  if (isShort) return lengths.map((length, r) => first.subarray(ROOM * r + 1, ROOM * r + 1 + length));
  return gatherParts(group, own, lengths, label);
};

const callOf = (label: string): string => label.split(":", 1)[0]!;

/** The numbers of every rank, where all are known to be in one call. */
export const gatherParts = (
  group: Communicator,
  own: Float64Array,
  lengths: readonly number[],
  label: string,
): Float64Array[] => {
  const { counts, places } = inOrder(Int32Array.from(lengths, (length) => 2 * length));
  const { rank, size } = group;
  const total = (places[size - 1]! + counts[size - 1]!) / 2;
  const array = own.length === total ? own : new Float64Array(total);
  if (array !== own) array.set(own, places[rank]! / 2);
  group.gather({ array, counts, places }, label);
  return lengths.map((length, r) => array.subarray(places[r]! / 2, places[r]! / 2 + length));
};

const refuseOtherCall = (group: Communicator, label: string): never => {
  const [first, ...others] = textsOf(group, label, "which call it is");
  const odd = others.findIndex((call) => call !== first);
  throw new BackendError(
    "Every rank must make the same calls",
    odd < 0 ? `${first}, with arrays of other lengths on another rank` : `${first} on rank 0, ${others[odd]} on rank ${odd + 1}`,
    "Look for what one rank alone does: an error that it caught, a branch on the rank, data that end earlier.",
  );
};

/** A text of every rank.
 *  @throws BackendError as gatherNumbers. */
export const gatherTexts = (group: Communicator, text: string, label: string): string[] => {
  gatherNumbers(group, new Float64Array(0), new Array<number>(group.size).fill(0), label);
  return textsOf(group, text, label);
};

const textsOf = (group: Communicator, text: string, label: string): string[] => {
  const bytes = new TextEncoder().encode(text);
  const lengths = new Int32Array(group.size);
  lengths[group.rank] = bytes.length;
  group.gather({ array: lengths, ...inOrder(new Int32Array(group.size).fill(1)) }, label);
  const { counts, places } = inOrder(lengths.map((length) => Math.ceil(length / 4)));
  const array = new Int32Array(places.at(-1)! + counts.at(-1)!);
  const received = new Uint8Array(array.buffer);
  received.set(bytes, places[group.rank]! * 4);
  group.gather({ array, counts, places }, label);
  const decoder = new TextDecoder();
  return Array.from(lengths, (length, r) => decoder.decode(received.subarray(places[r]! * 4, places[r]! * 4 + length)));
};
