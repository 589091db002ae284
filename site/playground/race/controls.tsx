/** The options of the optimizer's page, as controls. */

import { defineComponent } from "vue";
import { inOwnTask } from "../in-own-task.ts";
import { digits } from "./contenders.ts";
import { CONTROLS, type Control, type NumberControl, placeOf, valueAt, withChoice } from "./options.ts";
import type { Choices } from "./race.ts";

type Value = number | boolean | string | undefined;

/** Those of one fieldset. */
const Group = defineComponent(
  (props: { choices: Choices; of: Control["of"]; title: string }) => {
    const choose = (name: string, value: Value) => {
      props.choices.chosen = withChoice(props.choices.chosen, name, value);
    };
    const given = (event: Event) => (event.target as HTMLInputElement | HTMLSelectElement).value;

    const numberControl = (control: NumberControl) => {
      const { name, byDefault, off } = control;
      const chosen = props.choices.chosen[name] as number | undefined;
      const value = chosen ?? byDefault;
      const isOff = off === true && chosen === undefined;
      return (
        <>
          {off ? (
            <input
              type="checkbox"
              aria-label={`Use ${name}`}
              checked={!isOff}
              onChange={() => choose(name, isOff ? byDefault : undefined)}
            />
          ) : null}
          <input
            id={`option-${name}`}
            type="range"
            min="0"
            max="1"
            step="0.005"
            disabled={isOff}
            aria-valuetext={digits(value)}
            value={placeOf(control, value)}
            onInput={(event) => choose(name, valueAt(control, Number(given(event))))}
          />
          <span class="value">{isOff ? "off" : digits(value)}</span>
        </>
      );
    };

    const inputOf = (control: Control) => {
      const { name, byDefault } = control;
      const chosen = props.choices.chosen[name] ?? byDefault;
      const id = `option-${name}`;
      switch (control.kind) {
        case "number":
          return numberControl(control);
        case "flag":
          return <input id={id} type="checkbox" checked={chosen === true} onChange={() => choose(name, chosen !== true)} />;
        case "text":
          return (
            <input
              id={id}
              type="text"
              maxlength={40}
              value={chosen}
              onInput={(event) => choose(name, given(event) || undefined)}
            />
          );
        case "choice":
          return (
            <select id={id} value={chosen} onChange={(event) => choose(name, given(event))}>
              {control.choices.map((choice) => (
                <option key={choice} value={choice}>
                  {choice}
                </option>
              ))}
            </select>
          );
      }
    };

    return () => (
      <fieldset>
        <legend>{props.title}</legend>
        <div class="grid">
          {CONTROLS.filter(({ of }) => of === props.of).map((control) => (
            <div key={control.name} class={["option", { isChanged: control.name in props.choices.chosen }]}>
              <label for={`option-${control.name}`}>
                <code>{control.name}</code>
                <small>{control.says}</small>
              </label>
              <div class="input">{inputOf(control)}</div>
            </div>
          ))}
        </div>
      </fieldset>
    );
  },
  { props: ["choices", "of", "title"] },
);

const Fieldset = inOwnTask(Group);

export const Controls = ({ choices }: { choices: Choices }) => (
  <div class="controls">
    <Fieldset choices={choices} of="adamax" title="Adamax" />
    <Fieldset choices={choices} of="all" title="Everybody in the race" />
  </div>
);
Controls.props = ["choices"];
