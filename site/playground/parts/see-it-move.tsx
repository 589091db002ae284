/** "See it move": optimizers side by side on surfaces of two dimensions. */

import { defineComponent } from "vue";
import { inOwnTask } from "../in-own-task.ts";
import { useRaceInAddress } from "../race/in-address.ts";
import { RaceView } from "../race/race-view.tsx";
import { Shell } from "./shell.tsx";

const Part = defineComponent(() => {
  const { race, isReady } = useRaceInAddress();
  return () => (
    <Shell
      title="See it move"
      says="Four optimizers start at the same place. Drag the start, turn the options, point at a path: the equations show the numbers of that step."
    >
      {{ default: () => <RaceView race={race} isReady={isReady.value} /> }}
    </Shell>
  );
});

export const SeeItMove = inOwnTask(Part);
