/** What stands below the picture: the chart, and the options. Most visitors come to it later, so it is brought to life when the page has a moment. */

import { computed, defineComponent, onMounted, ref } from "vue";
import { Chart } from "../chart.tsx";
import { digits } from "./contenders.ts";
import { Controls } from "./controls.tsx";
import { initialChoices } from "./race.ts";
import type { Show } from "./show.ts";

/** Lower heights stand here in the chart, which has a logarithmic scale. */
const LOWEST = 1e-6;

export const Heights = defineComponent(
  ({ show: { race, runners, playback, pointed, heights } }: { show: Show }) => {
    const x = computed(() => Array.from({ length: race.surface.value.steps + 1 }, (_, step) => step));
    const curves = computed(() =>
      runners.value
        .filter(({ track, isHidden }) => track && !isHidden)
        .map(({ id, name, track }) => ({
          label: name,
          color: `--${id}`,
          values: [...track!.heights].map((height) => (Number.isFinite(height) ? Math.max(height, LOWEST) : null)),
        })),
    );
    return () => (
      <Chart
        says={`Height of the landscape where each optimizer is, over ${race.surface.value.steps} steps. ${heights()} at step ${playback.told.value}.`}
        xLabel="step"
        yLabel="height"
        x={x.value}
        curves={curves.value}
        height={220}
        isYLog={true}
        marker={pointed.value ? pointed.value.step + 1 : playback.shown.value}
        onPointed={(step: number | null) => {
          pointed.value = step === null || step === 0 ? null : { id: race.choices.selected, step: step - 1 };
        }}
      />
    );
  },
  { props: ["show"] },
);

export const Below = defineComponent(
  ({ show }: { show: Show }) => {
    const { choices, surface } = show.race;
    /** The server knows no choices: until it lives it is as the server made it, and does nothing. */
    const isAlive = ref(false);
    onMounted(() => {
      isAlive.value = true;
    });
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
      <div class="below" inert={!isAlive.value}>
        <h2>Height over the steps</h2>
        <div class="heights">{isAlive.value ? <Heights show={show} /> : null}</div>
        <h2>Options</h2>
        <p class="says">
          Learning rates were chosen by hand for each landscape; every one has a slider in the table. What an option does stands
          in <a href="../docs/arguments.html">Arguments</a>.{" "}
          <button type="button" class="link" onClick={show.reset}>
            Back to the defaults
          </button>
        </p>
        <Controls choices={isAlive.value ? choices : BEFORE} />
        {isAlive.value && surface.value.id === "stream" ? noise() : null}
      </div>
    );
  },
  { props: ["show"] },
);

const BEFORE = initialChoices();
