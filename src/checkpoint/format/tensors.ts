/** The bytes of a checkpoint, a piece at a time: what is in memory besides the state itself is one piece. */

import type { OnProgress, Values } from "../../backend.js";
import { CheckpointError } from "../../errors.js";
import type { Bytes } from "../storage/bytes.js";
import type { Source } from "../storage/source.js";
import { crc32 } from "./crc32.js";
import { encodeHeader, type Header, type TensorPlace, type TensorShape } from "./safetensors.js";

/** A tensor, and how to get at its elements: near memory or far. */
export interface Tensor extends TensorShape {
  /** Fills `into` with the elements from `begin` on. */
  read(begin: number, into: Values): Promise<void>;
}

/** Large enough that a piece costs more than asking for it. */
export const PIECE_BYTES = 4 * 2 ** 20;

/** The last tensor of the file: the CRC-32 of the header, and then of each tensor before it, in order. Being last, it can be written
 *  in the same pass as the tensors. */
const CHECKSUMS = "checkpoint/crc32";

const ELEMENTS = { F32: Float32Array, F64: Float64Array } as const;

/** The file that holds these tensors of F32 and F64. Each piece is overwritten by the next. */
export const encodeTensors = (
  tensors: readonly Tensor[],
  metadata: Readonly<Record<string, string>>,
): { total: number; pieces: AsyncIterable<Bytes> } => {
  const checksums: TensorShape = { name: CHECKSUMS, dtype: "U32", shape: [tensors.length + 1] };
  const header = encodeHeader([...tensors, checksums], metadata);
  const total = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), header.length + 4 * (tensors.length + 1));
  return { total, pieces: piecesOf(header, tensors) };
};

const elementsOf = ({ shape }: TensorShape): number => shape.reduce((product, size) => product * size, 1);
const arrayOf = ({ dtype }: TensorShape) => ELEMENTS[dtype as keyof typeof ELEMENTS];
const bytesOf = (tensor: TensorShape): number => elementsOf(tensor) * arrayOf(tensor).BYTES_PER_ELEMENT;

async function* piecesOf(header: Bytes, tensors: readonly Tensor[]): AsyncGenerator<Bytes> {
  const sums = new Uint32Array(tensors.length + 1);
  sums[0] = crc32(header);
  yield header;
  const piece = new Uint8Array(PIECE_BYTES);
  let filled = 0;
  for (const [i, tensor] of tensors.entries()) {
    const Values = arrayOf(tensor);
    const size = Values.BYTES_PER_ELEMENT;
    for (let done = 0, length = elementsOf(tensor); done < length; ) {
      if (PIECE_BYTES - filled < size || filled % size !== 0) {
        yield piece.subarray(0, filled);
        filled = 0;
      }
      const count = Math.min(length - done, (PIECE_BYTES - filled) / size);
      await tensor.read(done, new Values(piece.buffer, filled, count));
      sums[i + 1] = crc32(piece.subarray(filled, filled + count * size), sums[i + 1]);
      done += count;
      filled += count * size;
    }
  }
  if (filled > 0) yield piece.subarray(0, filled);
  yield new Uint8Array(sums.buffer);
}

/** The tensors that the header names, less the checksums.
 *  @throws CheckpointError when there are no checksums. */
export const namedTensors = ({ tensors }: Header, { name }: Source): readonly TensorPlace[] => {
  const last = tensors.at(-1);
  if (last?.name === CHECKSUMS && last.dtype === "U32" && last.shape.length === 1 && last.shape[0] === tensors.length)
    return tensors.slice(0, -1);
  throw new CheckpointError(
    `${name} is not a checkpoint of this library`,
    `a safetensors file without ${CHECKSUMS} at its end`,
    "Read it with the tool that wrote it.",
  );
};

/** `stop`, or a few bytes before, where that would cut an element in two. `next`: a tensor that does not end later. */
const wholeElements = (tensors: readonly TensorPlace[], next: number, stop: number): number => {
  for (let i = next; i < tensors.length && tensors[i]!.begin < stop; i++) {
    const { begin, end, ...tensor } = tensors[i]!;
    if (stop < end) return stop - ((stop - begin) % ((end - begin) / elementsOf(tensor)));
  }
  return stop;
};

/** Reads every tensor, in pieces of whole elements that `take` is given with their place in the tensor, and compares all checksums.
 *  @throws CheckpointError that lists the damaged tensors. */
export const readTensors = async (
  source: Source,
  header: Header,
  take: (tensor: TensorPlace, at: number, bytes: Uint8Array) => void | Promise<void>,
  onProgress: OnProgress = () => {},
): Promise<void> => {
  const tensors = namedTensors(header, source);
  const { begin, end } = header.tensors.at(-1)!;
  const sums = Uint32Array.of(crc32(header.bytes), ...tensors.map(() => 0));
  let next = 0; // the first tensor that has not ended before this piece
  for (let at = header.bytes.length, stop = at; at < begin; at = stop) {
    stop = wholeElements(tensors, next, Math.min(at + PIECE_BYTES, begin));
    const piece = await source.read(at, stop);
    while (next < tensors.length && tensors[next]!.end <= at) next++;
    for (let i = next; i < tensors.length && tensors[i]!.begin < stop; i++) {
      const tensor = tensors[i]!;
      const from = Math.max(tensor.begin, at);
      const bytes = piece.subarray(from - at, Math.min(tensor.end, stop) - at);
      sums[i + 1] = crc32(bytes, sums[i + 1]);
      await take(tensor, from - tensor.begin, bytes);
    }
    onProgress({ bytes: stop, total: source.size });
  }
  const trailer = await source.read(begin, end);
  const saved = new DataView(trailer.buffer, trailer.byteOffset, trailer.byteLength);
  const damaged = ["its header", ...tensors.map(({ name }) => name)].filter((_, i) => saved.getUint32(4 * i, true) !== sums[i]);
  onProgress({ bytes: source.size, total: source.size });
  if (damaged.length > 0)
    throw new CheckpointError(
      `${source.name} is damaged`,
      `other checksums for ${damaged.slice(0, 6).join(", ")}${damaged.length > 6 ? ` and ${damaged.length - 6} more` : ""}`,
      "Use another copy, or an older checkpoint.",
    );
};
