/** The equations of one step, with its numbers in them. */

import { defineComponent } from "vue";
import { digits } from "./contenders.ts";
import type { Show } from "./show.ts";
import { movesIn, numbersOf } from "./track.ts";

/** A component, so that it is drawn anew for itself. */
export const Numbers = defineComponent(
  ({ show }: { show: Show }) =>
    () =>
      numbers(show),
  { props: ["show"] },
);

const numbers = ({ race: { choices }, runners: { value: runners }, place: { value: place } }: Show) => {
  const runner = runners.find(({ id }) => id === place.id) ?? runners[0]!;
  const { name, track, problem, equations, id } = runner;
  if (!track) return <section class="numbers">{problem ? <p class="problem">{problem}</p> : null}</section>;
  const step = Math.min(place.step, track.steps - 1);
  const weightDecay = Number(choices.chosen.weightDecay ?? 0);
  const axes = ([0, 1] as const).map((axis) => numbersOf(track, step, axis, weightDecay));
  const given = axes.map((_, axis) => track.given[2 * step + axis]!);
  const isChanged = axes.some(({ g }, axis) => g !== Math.fround(given[axis]!));
  const moves = movesIn(track, step);
  const { rate, t, hyper } = axes[0]!;
  const correction = hyper.beta1 !== undefined && id !== "lion" && equations.length === 3 ? 1 - hyper.beta1 ** t : 1;
  return (
    <section class="numbers" style={{ "--color": `var(--${id})` }} aria-label={`Step ${step + 1} of ${name}`}>
      <h2>
        Step {step + 1} of {name}
      </h2>
      {moves ? null : <p class="note">Only accumulated: nothing moves in this step.</p>}
      <dl>
        {pair("g, the gradient", given)}
        {isChanged
          ? pair(
              "g, as the rule sees it",
              axes.map(({ g }) => g),
            )
          : null}
        <div>
          <dt>α, the rate{correction === 1 ? "" : "; and over 1 − β₁ᵗ"}</dt>
          <dd>{correction === 1 ? digits(rate) : `${digits(rate)}; ${digits(rate / correction)}`}</dd>
        </div>
        {weightDecay > 0 ? (
          <div>
            <dt>w ← w − α λ w</dt>
            <dd>{axes.map(({ w }) => digits(w)).join(", ")}</dd>
          </div>
        ) : null}
        {equations.map(({ says, filled }) => (
          <div key={says} class="equation">
            <dt>{says}</dt>
            {axes.map((numbers, axis) => (
              <dd key={axis}>
                <span class="axis">{axis === 0 ? "x" : "y"}</span> {filled(numbers)}
              </dd>
            ))}
          </div>
        ))}
        {pair(
          "the step, Δw",
          axes.map(({ newW }, axis) => newW - track.path[2 * step + axis]!),
        )}
        {track.average
          ? pair(
              "the average after it",
              axes.map((_, axis) => track.average![2 * (step + 1) + axis]!),
            )
          : null}
      </dl>
    </section>
  );
};

const pair = (title: string, values: readonly number[]) => (
  <div key={title}>
    <dt>{title}</dt>
    <dd>{values.map(digits).join(", ")}</dd>
  </div>
);
