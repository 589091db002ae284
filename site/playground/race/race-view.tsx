/** The whole race: surfaces to choose from, picture, table, numbers of a step, chart, and the options. */

import { computed, defineComponent, nextTick, onBeforeUnmount, onMounted, ref, toRef, watch } from "vue";
import "./race.css";
import { Chart } from "../chart.tsx";
import { CONTENDERS, digits } from "./contenders.ts";
import { Controls } from "./controls.tsx";
import { Legend } from "./legend.tsx";
import { Numbers } from "./numbers.tsx";
import { Picture, type Place } from "./picture.tsx";
import { createPlayback, wantsLessMotion } from "./playback.ts";
import { initialChoices, type Race } from "./race.ts";
import { type OwnRule, runnersOf } from "./runners.ts";
import { SURFACES } from "./surfaces.ts";

interface Props {
  race: Race;
  /** The address has been read. */
  isReady: boolean;
  own?: OwnRule | null;
}

export const RaceView = defineComponent(
  (props: Props, { slots }) => {
    const { choices, surface } = props.race;
    /** What there is in the picture: nothing yet, the landscape, and one contender after another. In turns, so that a page that opens does not stand still. */
    const turn = ref(0);
    const runners = computed(() => runnersOf(props.race, props.isReady ? (props.own ?? null) : null, turn.value - 1));
    const steps = computed(() => surface.value.steps);
    const playback = createPlayback(toRef(choices, "step"), steps);
    const pointed = ref<Place | null>(null);
    const place = computed((): Place => pointed.value ?? { id: choices.selected, step: Math.max(0, playback.told.value - 1) });
    const said = ref("");
    const say = async () => {
      await nextTick();
      said.value = `Step ${playback.told.value}. ${heights().join(", ")}.`;
    };
    const heights = () =>
      runners.value
        .filter(({ track, isHidden }) => track && !isHidden)
        .map(({ name, track }) => `${name}: ${digits(track!.heights[playback.told.value]!)}`);

    const chooseSurface = (id: string) => {
      choices.surface = id;
      choices.start = null;
      choices.rates = {};
      begin();
    };
    const begin = () => {
      choices.step = null;
      if (!wantsLessMotion()) playback.play();
    };
    let timer = 0;
    const take = () => {
      turn.value++;
      if (turn.value <= CONTENDERS.length) timer = window.setTimeout(take);
      else if (choices.step === null) begin();
    };
    onBeforeUnmount(() => window.clearTimeout(timer));
    onMounted(() =>
      watch(
        () => props.isReady,
        (isReady) => isReady && take(),
        { immediate: true },
      ),
    );
    watch(playback.isPlaying, (isPlaying) => {
      if (!isPlaying) void say();
    });

    const curves = computed(() =>
      runners.value
        .filter(({ track, isHidden }) => track && !isHidden)
        .map(({ id, name, track }) => ({
          label: name,
          color: `--${id}`,
          values: [...track!.heights].map((height) => (Number.isFinite(height) ? Math.max(height, LOWEST) : null)),
        })),
    );
    const x = computed(() => Array.from({ length: steps.value + 1 }, (_, step) => step));
    const reset = () => {
      Object.assign(choices, initialChoices(choices.surface));
      begin();
    };

    const toolbar = () => (
      <div class="surfaces" role="radiogroup" aria-label="Landscape">
        {SURFACES.map(({ id, title }) => (
          <label key={id} class={{ isSelected: surface.value.id === id }}>
            <input type="radio" name="surface" checked={surface.value.id === id} onChange={() => chooseSurface(id)} />
            {title}
          </label>
        ))}
      </div>
    );

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
          max={steps.value}
          step="1"
          value={playback.told.value}
          onInput={(event) => {
            playback.pause();
            choices.step = Number((event.target as HTMLInputElement).value);
          }}
          onChange={() => void say()}
        />
        <span class="value">
          {playback.told.value} / {steps.value}
        </span>
      </div>
    );

    const scene = () => (
      <div class="scene">
        <Picture
          race={props.race}
          runners={runners.value}
          shown={playback.shown.value}
          isReady={turn.value > 0}
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

    const noise = () => (
      <div class="option noise">
        <label for="noise">
          <code>noise</code>
          <small>of the stream, so many times</small>
        </label>
        <div class="input">
          <input
            id="noise"
            type="range"
            min="0"
            max="3"
            step="0.1"
            value={choices.noise}
            onInput={(event) => {
              choices.noise = Number((event.target as HTMLInputElement).value);
            }}
          />
          <span class="value">{digits(choices.noise)}</span>
        </div>
      </div>
    );

    return () => (
      <div class="race">
        {toolbar()}
        <p class="says">{surface.value.says}</p>
        <div class={["stage", { hasEditor: slots.beside !== undefined }]}>
          {slots.beside?.()}
          {scene()}
          <div class="panel">
            <Legend race={props.race} runners={runners.value} shown={playback.told.value} />
            <Numbers race={props.race} runners={runners.value} place={place.value} />
          </div>
        </div>
        <div class="below">
          <h2>Height over the steps</h2>
          <Chart
            says={`Height of the landscape where each optimizer is, over ${steps.value} steps. ${heights().join(", ")} at step ${playback.told.value}.`}
            xLabel="step"
            yLabel="height"
            x={x.value}
            curves={curves.value}
            height={220}
            isYLog={true}
            marker={pointed.value ? pointed.value.step + 1 : playback.shown.value}
            onPointed={(step: number | null) => {
              pointed.value = step === null || step === 0 ? null : { id: choices.selected, step: step - 1 };
            }}
          />
          <h2>Options</h2>
          <p class="says">
            Learning rates were chosen by hand for each landscape; every one has a slider in the table. What an option does stands
            in <a href="../docs/arguments.html">Arguments</a>.{" "}
            <button type="button" class="link" onClick={reset}>
              Back to the defaults
            </button>
          </p>
          <Controls race={props.race} />
          {surface.value.id === "stream" ? noise() : null}
        </div>
      </div>
    );
  },
  { props: ["race", "isReady", "own"] },
);

/** Lower heights stand here in the chart, which has a logarithmic scale. */
const LOWEST = 1e-6;
