/** A sound: its picture, and what plays it. */

import { defineComponent, onBeforeUnmount, onMounted, ref, shallowRef, watch } from "vue";
import { bins } from "../../../examples/speech/spectrogram.ts";
import type { Heard } from "./protocol.ts";

interface Props {
  title: string;
  heard: Heard | null;
}

/** From silence to loud, in dB of a bin's power, and the colors for it: dark violet, red, yellow. */
const [SILENT, LOUD] = [-45, 25];
const COLORS = [
  [12, 8, 38],
  [88, 22, 110],
  [190, 55, 82],
  [246, 130, 40],
  [252, 240, 160],
] as const;

export const SoundView = defineComponent(
  (props: Props) => {
    const canvas = ref<HTMLCanvasElement>();
    const url = shallowRef<string | undefined>();
    const forget = () => url.value && URL.revokeObjectURL(url.value);
    const show = () => {
      const { heard } = props;
      if (!heard) return;
      forget();
      url.value = URL.createObjectURL(new Blob([heard.wav], { type: "audio/wav" }));
      draw(canvas.value!, heard.spectrogram);
    };
    onMounted(() => watch(() => props.heard, show, { immediate: true, flush: "post" }));
    onBeforeUnmount(forget);
    return () => (
      <figure class="sound">
        <figcaption>
          <strong>{props.title}</strong>
          <span>{props.heard?.decibels == null ? "" : `${props.heard.decibels.toFixed(1)} dB`}</span>
        </figcaption>
        <canvas ref={canvas} width="300" height={bins} role="img" aria-label={`Spectrogram: ${props.title}`} />
        {/* biome-ignore lint/a11y/useMediaCaption: what is said is no matter; how clean it is shows in the picture and in the figure beside the title */}
        <audio controls src={url.value} aria-label={props.title} />
      </figure>
    );
  },
  { props: ["title", "heard"] },
);

/** Low frequencies at the bottom. */
const draw = (canvas: HTMLCanvasElement, spectrogram: Float32Array): void => {
  const frames = spectrogram.length / bins;
  canvas.width = frames;
  const image = new ImageData(frames, bins);
  for (let frame = 0; frame < frames; frame++)
    for (let bin = 0; bin < bins; bin++) {
      const share = (spectrogram[frame * bins + bin]! - SILENT) / (LOUD - SILENT);
      image.data.set([...colorAt(Math.min(0.999, Math.max(0, share))), 255], 4 * ((bins - 1 - bin) * frames + frame));
    }
  canvas.getContext("2d")?.putImageData(image, 0, 0);
};

const colorAt = (share: number): number[] => {
  const place = share * (COLORS.length - 1);
  const [from, to] = [COLORS[Math.floor(place)]!, COLORS[Math.floor(place) + 1]!];
  return from.map((value, i) => value + (to[i]! - value) * (place % 1));
};
