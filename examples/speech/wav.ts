import { readFileSync, writeFileSync } from "node:fs";

export interface Sound {
  /** Samples per second. */
  readonly rate: number;
  /** One channel, in [-1, 1). */
  readonly samples: Float32Array;
}

const headerBytes = 44;

/** Reads mono 16 bit PCM; anything else throws and says what the file holds. Source: RIFF WAVE, format tag 1. */
export function readWav(path: string): Sound {
  const bytes = readFileSync(path);
  const tag = (at: number) => bytes.toString("latin1", at, at + 4);
  if (tag(0) !== "RIFF" || tag(8) !== "WAVE") throw new Error(`${path} is not a WAV file.`);
  let rate = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt32LE(at + 4);
    const body = at + 8;
    if (tag(at) === "fmt ") {
      const [format, channels, bits] = [body, body + 2, body + 14].map((offset) => bytes.readUInt16LE(offset));
      if (format !== 1 || channels !== 1 || bits !== 16)
        throw new Error(`${path}: expected mono 16 bit PCM, found format ${format}, ${channels} channels, ${bits} bits.`);
      rate = bytes.readUInt32LE(body + 4);
    }
    if (tag(at) === "data") {
      const count = Math.min(size, bytes.length - body) >> 1;
      return { rate, samples: Float32Array.from({ length: count }, (_, i) => bytes.readInt16LE(body + 2 * i) / 32768) };
    }
    at = body + size + (size & 1);
  }
  throw new Error(`${path} has no data chunk.`);
}

/** Mono 16 bit PCM; samples outside [-1, 1) are clipped. */
export function encodeWav({ rate, samples }: Sound): Buffer {
  const bytes = Buffer.alloc(headerBytes + 2 * samples.length);
  bytes.write("RIFF", 0, "latin1");
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write("WAVEfmt ", 8, "latin1");
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20); // PCM
  bytes.writeUInt16LE(1, 22); // channels
  bytes.writeUInt32LE(rate, 24);
  bytes.writeUInt32LE(2 * rate, 28); // bytes per second
  bytes.writeUInt16LE(2, 32); // bytes per frame
  bytes.writeUInt16LE(16, 34); // bits
  bytes.write("data", 36, "latin1");
  bytes.writeUInt32LE(2 * samples.length, 40);
  samples.forEach((sample, i) => {
    bytes.writeInt16LE(Math.max(-32768, Math.min(32767, Math.round(sample * 32768))), headerBytes + 2 * i);
  });
  return bytes;
}

export const writeWav = (path: string, sound: Sound): void => writeFileSync(path, encodeWav(sound));
