/** What is shown of a race, and since when. */

import { type ComputedRef, computed, nextTick, onBeforeUnmount, onMounted, type Ref, ref, toRef, watch } from "vue";
import { CONTENDERS, digits } from "./contenders.ts";
import type { Place } from "./picture.tsx";
import { createPlayback, type Playback, wantsLessMotion } from "./playback.ts";
import { initialChoices, type Race } from "./race.ts";
import { type OwnRule, type Runner, runnersOf } from "./runners.ts";

/** It stays the same object as long as the race is shown, so that a part is drawn anew only when something changes that it reads. */
export interface Show {
  readonly race: Race;
  readonly runners: ComputedRef<readonly Runner[]>;
  readonly playback: Playback;
  /** Whether the landscape can be drawn. */
  readonly hasLandscape: ComputedRef<boolean>;
  /** The step under the pointer. */
  readonly pointed: Ref<Place | null>;
  /** Whose numbers are shown. */
  readonly place: ComputedRef<Place>;
  /** What those are told who do not see it. */
  readonly said: Ref<string>;
  heights(): string;
  say(): void;
  chooseSurface(id: string): void;
  reset(): void;
}

/** `isReady`: the address has been read. */
export const createShow = (race: Race, isReady: () => boolean, own: () => OwnRule | null): Show => {
  const { choices, surface } = race;
  /** What there is in the picture: nothing yet, the landscape, and one contender after another. In turns, so that a page that opens does not stand still. */
  const turn = ref(0);
  const runners = computed(() => runnersOf(race, isReady() ? own() : null, turn.value - 1));
  const playback = createPlayback(
    toRef(choices, "step"),
    computed(() => surface.value.steps),
  );
  const pointed = ref<Place | null>(null);
  const place = computed((): Place => pointed.value ?? { id: choices.selected, step: Math.max(0, playback.told.value - 1) });
  const said = ref("");
  const heights = () =>
    runners.value
      .filter(({ track, isHidden }) => track && !isHidden)
      .map(({ name, track }) => `${name}: ${digits(track!.heights[playback.told.value]!)}`)
      .join(", ");
  const say = async () => {
    await nextTick();
    said.value = `Step ${playback.told.value}. ${heights()}.`;
  };
  const begin = () => {
    choices.step = null;
    if (!wantsLessMotion()) playback.play();
  };
  let isLeft = false;
  const next = async () => {
    await new Promise((go) => window.setTimeout(go));
    turn.value++;
  };
  const enter = async () => {
    const loading = race.load();
    await next();
    await loading;
    for (let coming = CONTENDERS.length; coming > 0 && !isLeft; coming--) await next();
    if (choices.step === null && !isLeft) begin();
  };
  onBeforeUnmount(() => {
    isLeft = true;
  });
  onMounted(() => watch(isReady, (is) => is && void enter(), { immediate: true }));
  watch(playback.isPlaying, (isPlaying) => {
    if (!isPlaying) void say();
  });
  return {
    race,
    runners,
    playback,
    hasLandscape: computed(() => turn.value > 0),
    pointed,
    place,
    said,
    heights,
    say: () => void say(),
    chooseSurface: (id) => {
      Object.assign(choices, { surface: id, start: null, rates: {} });
      begin();
    },
    reset: () => {
      Object.assign(choices, initialChoices(choices.surface));
      begin();
    },
  };
};
