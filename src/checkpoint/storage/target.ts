/** Where checkpoints are written to. */

import { CheckpointError, OptionError, show } from "../../errors.js";
import { atomicWrite } from "./atomic-write.js";
import type { Bytes } from "./bytes.js";
import { pathOf } from "./node.js";
import { type BrowserFile, isBrowserFile } from "./source.js";

/** A path (Node), a file of OPFS, or a stream of bytes: a download, a request's body. A path and a file of OPFS are replaced as a whole
 *  or not at all; what a stream does with half a checkpoint when saving fails (it is aborted) is the stream's matter. */
export type CheckpointTarget = string | URL | BrowserFile | WritableStream<Bytes>;

/** Writes the chunks one after the other. A chunk may be reused once the next is asked for.
 *  @throws OptionError for the name of a file of another format. */
export const writeTo = async (target: CheckpointTarget, chunks: AsyncIterable<Bytes>): Promise<void> => {
  if (typeof target === "string" || target instanceof URL) return atomicWrite(named(pathOf(target)), chunks);
  if (isBrowserFile(target)) {
    named(target.name);
    return writeBrowserFile(target, chunks);
  }
  if (target instanceof WritableStream) return writeStream(target, chunks);
  throw new OptionError(
    "A checkpoint is written to a path, a file of OPFS, or a WritableStream",
    show(target),
    "Pass one of them.",
  );
};

/** The same name. Whoever calls a file so expects it to be of that format. */
const named = (name: string): string => {
  const [end] = /\.(keras|h5|hdf5|json|npz|npy|index|pb|ckpt|pth?|onnx|tflite)$/i.exec(name) ?? [];
  if (end === undefined) return name;
  throw new OptionError(
    "A checkpoint is a safetensors file, and another program would take this one for something else",
    show(name),
    `Name it ${show(`${name.slice(0, -end.length)}.safetensors`)}. Files of Keras are written by writeKeras.`,
  );
};

/** OPFS writes to a copy, which takes the file's place when it is closed. */
const writeBrowserFile = async (target: BrowserFile, chunks: AsyncIterable<Bytes>): Promise<void> => {
  const refused = (error: unknown): never => {
    throw Object.assign(
      new CheckpointError(
        `${target.name} cannot be written`,
        `${error}`,
        "Is another saver at it? An older checkpoint there is as it was.",
      ),
      { cause: error },
    );
  };
  const writer = await target.createWritable({ mode: "exclusive", keepExistingData: false }).catch(refused);
  try {
    for await (const chunk of chunks) await writer.write(chunk).catch(refused);
    await writer.close().catch(refused);
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
};

const writeStream = async (target: WritableStream<Bytes>, chunks: AsyncIterable<Bytes>): Promise<void> => {
  const writer = target.getWriter();
  try {
    for await (const chunk of chunks) {
      await writer.ready;
      await writer.write(chunk.slice()); // a stream may keep what it is given
    }
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
};
