/** The whole race: surfaces to choose from, picture, table, numbers of a step, and below them the chart and the options. */

import { defineAsyncComponent, defineComponent, hydrateOnIdle } from "vue";
import "./race.css";
import { inOwnTask } from "../in-own-task.ts";
import { Legend } from "./legend.tsx";
import { Numbers as AllNumbers } from "./numbers.tsx";
import type { Race } from "./race.ts";
import type { OwnRule } from "./runners.ts";
import { Scene } from "./scene.tsx";
import { createShow } from "./show.ts";
import { SURFACES } from "./surfaces.ts";

interface Props {
  race: Race;
  /** The address has been read. */
  isReady: boolean;
  own?: OwnRule | null;
}

const Numbers = inOwnTask(AllNumbers);

const Below = defineAsyncComponent({
  loader: async () => (await import("./below.tsx")).Below,
  hydrate: hydrateOnIdle(2000),
});

export const RaceView = defineComponent(
  (props: Props, { slots }) => {
    const show = createShow(
      props.race,
      () => props.isReady,
      () => props.own ?? null,
    );
    const { surface } = props.race;
    const toolbar = () => (
      <div class="surfaces" role="radiogroup" aria-label="Landscape">
        {SURFACES.map(({ id, title }) => (
          <label key={id} class={{ isSelected: surface.value.id === id }}>
            <input type="radio" name="surface" checked={surface.value.id === id} onChange={() => show.chooseSurface(id)} />
            {title}
          </label>
        ))}
      </div>
    );
    return () => (
      <div class="race">
        {toolbar()}
        <p class="says">{surface.value.says}</p>
        <div class={["stage", { hasEditor: slots.beside !== undefined }]}>
          {slots.beside?.()}
          <Scene show={show} />
          <div class="panel">
            <Legend show={show} />
            <Numbers show={show} />
          </div>
        </div>
        <Below show={show} />
      </div>
    );
  },
  { props: ["race", "isReady", "own"] },
);
