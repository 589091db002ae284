import { type Colour, encodePng } from "../png.ts";
import { analyse, bins, power } from "./spectrogram.ts";

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
  return { width, height, address: `data:image/png;base64,${encodePng(width, height, pixels, palette).toString("base64")}` };
}

/** The largest power of any bin. */
export const loudestBin = (samples: Float32Array): number =>
  power(analyse(samples)).reduce((most, value) => Math.max(most, value), 0);
