import { deflateSync } from "node:zlib";
import { analyse, bins, power } from "./spectrogram.ts";

type Colour = readonly [red: number, green: number, blue: number];

/** From silence to loud. */
const ramp: readonly Colour[] = [
  [10, 10, 28],
  [48, 18, 92],
  [120, 28, 109],
  [190, 55, 82],
  [237, 105, 37],
  [251, 180, 60],
  [252, 255, 190],
];
const dynamicRange = 60; // dB from the loudest bin to the first colour

const palette: readonly Colour[] = Array.from({ length: 256 }, (_, i) => {
  const at = (i / 255) * (ramp.length - 1);
  const [low, high] = [ramp[Math.floor(at)]!, ramp[Math.ceil(at)]!];
  return low.map((channel, c) => Math.round(channel + (high[c]! - channel) * (at % 1))) as unknown as Colour;
});

export interface Image {
  readonly width: number;
  readonly height: number;
  /** A data: address. */
  readonly address: string;
}

/** One pixel per frame and bin, low frequencies at the bottom. `loudest` is the power that gets the last colour. */
export function spectrogramImage(samples: Float32Array, loudest: number): Image {
  const spectrogram = analyse(samples);
  const powers = power(spectrogram);
  const [width, height] = [spectrogram.frames, bins];
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const level = 10 * Math.log10(powers[x * bins + (height - 1 - y)]! / loudest + 1e-12); // dB, 0 at most
      pixels[y * width + x] = 255 * Math.min(1, Math.max(0, 1 + level / dynamicRange));
    }
  return { width, height, address: `data:image/png;base64,${encodePng(width, height, pixels).toString("base64")}` };
}

/** The largest power of any bin. */
export const loudestBin = (samples: Float32Array): number =>
  power(analyse(samples)).reduce((most, value) => Math.max(most, value), 0);

/** One byte per pixel, an index into the palette. Source: PNG specification, colour type 3. */
function encodePng(width: number, height: number, pixels: Uint8Array): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8); // 8 bits, palette, deflate, no filter, not interlaced
  const rows = Buffer.alloc(height * (width + 1)); // each row begins with its filter, 0
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("PLTE", Buffer.from(palette.flat())),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, body: Buffer): Buffer {
  const bytes = Buffer.alloc(body.length + 12);
  bytes.writeUInt32BE(body.length, 0);
  bytes.write(type, 4, "latin1");
  body.copy(bytes, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, body.length + 8)), body.length + 8);
  return bytes;
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
