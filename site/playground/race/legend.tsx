/** Who runs, with which learning rate, and how far they are: the table that says what the picture shows. */

import { defineComponent } from "vue";
import { digits } from "./contenders.ts";
import { placeOf, valueAt } from "./options.ts";
import { learningRateOf } from "./race.ts";
import { MARKS, type Runner } from "./runners.ts";
import type { Show } from "./show.ts";

const RATE = {
  kind: "number",
  name: "learningRate",
  of: "all",
  says: "",
  scale: "log",
  least: 0.001,
  byDefault: 0.1,
  most: 1,
} as const;

export const Legend = defineComponent(
  ({ show: { race, runners, playback } }: { show: Show }) => {
    const { choices } = race;
    const toggle = (id: string, isHidden: boolean) => {
      choices.hidden = isHidden ? choices.hidden.filter((one) => one !== id) : [...choices.hidden, id];
    };
    const setRate = (id: string, value: number) => {
      choices.rates = { ...choices.rates, [id]: value };
    };
    const rowOf = ({ id, name, track, problem, isHidden }: Runner) => {
      const rate = learningRateOf(choices, id);
      const height = track?.heights[Math.min(playback.told.value, track.steps)];
      return (
        <tr key={id} class={{ isHidden, isSelected: choices.selected === id }} style={{ "--color": `var(--${id})` }}>
          <td>
            <input type="checkbox" aria-label={`Show ${name}`} checked={!isHidden} onChange={() => toggle(id, isHidden)} />
          </td>
          <th scope="row">
            <label class="who">
              <input
                type="radio"
                name="numbers"
                aria-label={`Numbers of ${name}`}
                checked={choices.selected === id}
                onChange={() => {
                  choices.selected = id;
                }}
              />
              <svg viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true">
                <path d={MARKS[id]} />
              </svg>
              {name}
            </label>
          </th>
          <td class="rate">
            <div>
              <input
                type="range"
                min="0"
                max="1"
                step="0.01"
                aria-label={`Learning rate of ${name}`}
                aria-valuetext={digits(rate)}
                value={placeOf(RATE, rate)}
                onInput={(event) => setRate(id, valueAt(RATE, Number((event.target as HTMLInputElement).value)))}
              />
              <span>{digits(rate)}</span>
            </div>
          </td>
          <td class="height">{problem ? <abbr title={problem}>refused</abbr> : height === undefined ? "–" : digits(height)}</td>
        </tr>
      );
    };
    return () => (
      <table class="legend">
        <caption class="sr-only">The optimizers, their learning rates, and the height of the landscape where each is now</caption>
        <thead>
          <tr>
            <td />
            <th scope="col">Optimizer</th>
            <th scope="col">learningRate</th>
            <th scope="col" class="height">
              Height
            </th>
          </tr>
        </thead>
        <tbody>{runners.value.map(rowOf)}</tbody>
      </table>
    );
  },
  { props: ["show"] },
);
