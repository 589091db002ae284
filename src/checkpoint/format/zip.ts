/** The archive that a .keras file is. */

import { CheckpointError, show } from "../../errors.js";
import { crc32 } from "./crc32.js";

/** Beyond the archive's size: what a damaged or hostile one may unpack to. */
const MOST_BYTES_MORE = 32 * 2 ** 20;

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

/** @throws CheckpointError for what is no archive, is damaged, or unpacks to more than 32 MiB beyond its size. */
export const unpack = async (bytes: Uint8Array, what: string): Promise<Entries> => {
  const { unzipSync } = await library();
  const refuse = (received: string): never => {
    throw new CheckpointError(`${what} cannot be read as an archive`, received, "The file is damaged, or not of this format.");
  };
  const listed = directoryOf(bytes);
  const places = [...listed];
  let room = bytes.length + MOST_BYTES_MORE;
  try {
    const files = unzipSync(bytes, {
      filter: ({ name, size, originalSize, compression }) => {
        room -= originalSize;
        if (room < 0) refuse(`entries that unpack to more than ${bytes.length + MOST_BYTES_MORE} bytes`);
        if (/^[/\\]|(^|[/\\])\.\.([/\\]|$)/.test(name)) refuse(`an entry outside of it, ${show(name)}`);
        if (size > bytes.length || (compression === 0 && size !== originalSize))
          refuse(`an entry of a wrong size, ${show(name)}`);
        const place = places.shift();
        if (place?.name !== name || place.localName !== name) refuse(`an entry that is listed under another name, ${show(name)}`);
        return true;
      },
    });
    const entries = new Map(Object.entries(files));
    if (places.length > 0 || entries.size !== listed.length)
      refuse(`${listed.length} entries, of which ${entries.size} were found`);
    for (const { name, checksum } of listed)
      if (crc32(entries.get(name)!) !== checksum) refuse(`another checksum for ${show(name)}`);
    return entries;
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    return refuse((error as Error).message);
  }
};

/** An entry as the directory at the end of the archive lists it. */
interface Listed {
  readonly name: string;
  /** Before its bytes, where it stands once more. */
  readonly localName: string;
  /** CRC-32 of what it unpacks to. */
  readonly checksum: number;
}

const [END, END_64, ENTRY] = [0x06054b50, 0x07064b50, 0x02014b50];

/** fflate reads the names of an archive, and does not compare checksums. Empty where there is no directory. */
const directoryOf = (bytes: Uint8Array): Listed[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (at: number) => (at >= 0 && at + 2 <= bytes.length ? view.getUint16(at, true) : 0);
  const u32 = (at: number) => (at >= 0 && at + 4 <= bytes.length ? view.getUint32(at, true) : 0);
  const text = (at: number, length: number) => new TextDecoder().decode(bytes.subarray(at, at + length));
  let end = bytes.length - 22;
  while (end > 0 && u32(end) !== END) end--;
  let at = u32(end - 20) === END_64 ? u32(u32(end - 12) + 48) : u32(end + 16);
  const listed: Listed[] = [];
  while (u32(at) === ENTRY) {
    const local = u32(at + 42);
    const [name, extra, comment] = [u16(at + 28), u16(at + 30), u16(at + 32)];
    listed.push({ name: text(at + 46, name), localName: text(local + 30, u16(local + 26)), checksum: u32(at + 16) });
    at += 46 + name + extra + comment;
  }
  return listed;
};

/** Stored, not compressed, as Keras does. */
export const pack = async (entries: Entries): Promise<Uint8Array> => {
  const { zipSync } = await library();
  return zipSync(Object.fromEntries(entries), { level: 0 });
};
