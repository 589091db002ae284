/** The picture and its time. It is drawn anew in every picture of a race that plays, and nothing else is. */

import { defineComponent } from "vue";
import { Picture, type Place } from "./picture.tsx";
import type { Show } from "./show.ts";

export const Scene = defineComponent(
  ({ show }: { show: Show }) => {
    const { race, runners, playback, pointed, hasLandscape, said } = show;
    const timeline = () => (
      <div class="timeline">
        <button type="button" class="play" onClick={() => (playback.isPlaying.value ? playback.pause() : playback.play())}>
          {playback.isPlaying.value ? "Pause" : "Play"}
        </button>
        <input
          class="time"
          type="range"
          aria-label="Steps shown"
          min="0"
          max={race.surface.value.steps}
          step="1"
          value={playback.told.value}
          onInput={(event) => {
            playback.pause();
            race.choices.step = Number((event.target as HTMLInputElement).value);
          }}
          onChange={show.say}
        />
        <span class="value">
          {playback.told.value} / {race.surface.value.steps}
        </span>
      </div>
    );
    return () => (
      <div class="scene">
        <Picture
          race={race}
          runners={runners.value}
          shown={playback.shown.value}
          isReady={hasLandscape.value}
          onPointed={(to: Place | null) => {
            pointed.value = to;
          }}
        />
        {timeline()}
        <p class="sr-only" role="status">
          {said.value}
        </p>
      </div>
    );
  },
  { props: ["show"] },
);
