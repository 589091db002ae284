export interface Sound {
  /** Samples per second. */
  readonly rate: number;
  /** One channel, in [-1, 1). */
  readonly samples: Float32Array;
}

const headerBytes = 44;

/** Reads mono 16 bit PCM; anything else throws and says what the file holds. Source: RIFF WAVE, format tag 1. */
export function decodeWav(bytes: Uint8Array, what: string): Sound {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const tag = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (tag(0) !== "RIFF" || tag(8) !== "WAVE") throw new Error(`${what} is not a WAV file.`);
  let rate = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    const body = at + 8;
    if (tag(at) === "fmt ") {
      const [format, channels, bits] = [body, body + 2, body + 14].map((offset) => view.getUint16(offset, true));
      if (format !== 1 || channels !== 1 || bits !== 16)
        throw new Error(`${what}: expected mono 16 bit PCM, found format ${format}, ${channels} channels, ${bits} bits.`);
      rate = view.getUint32(body + 4, true);
    }
    if (tag(at) === "data") {
      const count = Math.min(size, bytes.length - body) >> 1;
      return { rate, samples: Float32Array.from({ length: count }, (_, i) => view.getInt16(body + 2 * i, true) / 32768) };
    }
    at = body + size + (size & 1);
  }
  throw new Error(`${what} has no data chunk.`);
}

/** Mono 16 bit PCM; samples outside [-1, 1) are clipped. */
export function encodeWav({ rate, samples }: Sound): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(headerBytes + 2 * samples.length);
  const view = new DataView(bytes.buffer);
  const write = (at: number, text: string) => bytes.set(new TextEncoder().encode(text), at);
  write(0, "RIFF");
  view.setUint32(4, bytes.length - 8, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); // bytes per second
  view.setUint16(32, 2, true); // bytes per frame
  view.setUint16(34, 16, true); // bits
  write(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => {
    view.setInt16(headerBytes + 2 * i, Math.max(-32768, Math.min(32767, Math.round(sample * 32768))), true);
  });
  return bytes;
}
