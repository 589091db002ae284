/** The archive that a .keras file is. */

import { CheckpointError } from "../errors.js";

/** Beyond the archive's size: what a damaged or hostile one may unpack to. */
const MOST_BYTES_MORE = 128 * 2 ** 20;

export type Entries = ReadonlyMap<string, Uint8Array>;

const library = async (): Promise<typeof import("fflate")> => {
  try {
    return await import("fflate");
  } catch (error) {
    throw new CheckpointError(
      "A .keras or .npz file is an archive, which needs the package fflate",
      String((error as Error).message).split("\n")[0]!,
      "Install it: npm install fflate",
    );
  }
};

/** @throws CheckpointError for what is no archive, is damaged, or unpacks to more than 128 MiB beyond its size. */
export const unpack = async (bytes: Uint8Array, what: string): Promise<Entries> => {
  const { unzipSync } = await library();
  let room = bytes.length + MOST_BYTES_MORE;
  const refuse = (received: string): never => {
    throw new CheckpointError(`${what} cannot be read as an archive`, received, "The file is damaged, or not of this format.");
  };
  try {
    const files = unzipSync(bytes, {
      filter: ({ name, size, originalSize, compression }) => {
        room -= originalSize;
        if (room < 0) refuse(`entries that unpack to more than ${bytes.length + MOST_BYTES_MORE} bytes`);
        if (/^[/\\]|(^|[/\\])\.\.([/\\]|$)/.test(name)) refuse(`an entry outside of it, ${JSON.stringify(name)}`);
        if (size > bytes.length || (compression === 0 && size !== originalSize))
          refuse(`an entry of a wrong size, ${JSON.stringify(name)}`);
        return true;
      },
    });
    return new Map(Object.entries(files));
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    return refuse((error as Error).message);
  }
};

/** Stored, not compressed, as Keras does. */
export const pack = async (entries: Entries): Promise<Uint8Array> => {
  const { zipSync } = await library();
  return zipSync(Object.fromEntries(entries), { level: 0 });
};
