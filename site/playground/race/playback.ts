/** The time of a race: plays through its steps, pauses, and does not move by itself where motion is not wanted. */

import { type ComputedRef, computed, onBeforeUnmount, type Ref, ref } from "vue";

/** How long a whole race takes to look at. */
const MILLISECONDS = 7000;
/** Between two pictures: thirty a second look smooth here, and leave a phone time for its visitor. */
const PAUSE = 30;

/** Steps between two changes of text while it plays. */
const STRIDE = 5;

export interface Playback {
  readonly isPlaying: Ref<boolean>;
  /** How many steps are shown; not always a whole number. */
  readonly shown: ComputedRef<number>;
  /** How many steps texts tell of: while it plays nobody reads each of them, and text takes longer to change than a path. */
  readonly told: ComputedRef<number>;
  play(): void;
  pause(): void;
}

/** `at` is how many steps are shown, null: all of them. */
export const createPlayback = (at: Ref<number | null>, steps: ComputedRef<number>): Playback => {
  const isPlaying = ref(false);
  const shown = computed(() => Math.min(at.value ?? steps.value, steps.value));
  const told = computed(() => (isPlaying.value ? STRIDE * Math.floor(shown.value / STRIDE) : Math.round(shown.value)));
  let frame = 0;
  const pause = () => {
    isPlaying.value = false;
    cancelAnimationFrame(frame);
    if (at.value !== null) at.value = Math.round(at.value);
  };
  const play = () => {
    pause();
    if (shown.value >= steps.value) at.value = 0;
    isPlaying.value = true;
    let before = performance.now();
    const next = (now: number) => {
      frame = requestAnimationFrame(next);
      if (now - before < PAUSE) return;
      const later = (at.value ?? 0) + ((now - before) * steps.value) / MILLISECONDS;
      before = now;
      if (later >= steps.value) {
        pause();
        at.value = null;
      } else at.value = Math.max(0, later);
    };
    frame = requestAnimationFrame(next);
  };
  onBeforeUnmount(() => cancelAnimationFrame(frame));
  return { isPlaying, shown, told, play, pause };
};

export const wantsLessMotion = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;
