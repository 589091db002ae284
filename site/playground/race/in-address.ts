import { onMounted, type Ref, ref, watch } from "vue";
import { type Query, readQuery, writeQuery } from "../address.ts";
import { choicesFrom, createRace, initialChoices, queryOf, type Race } from "./race.ts";

/** A race whose choices stand in the address: read once the page is there, written when they change, but not while it plays.
 *  `more` is what else the address holds. */
export const useRaceInAddress = (more: () => Query = () => ({})): { race: Race; isReady: Ref<boolean> } => {
  const race = createRace(initialChoices());
  const isReady = ref(false);
  onMounted(() => {
    Object.assign(race.choices, choicesFrom(readQuery()));
    isReady.value = true;
    let timer = 0;
    watch(
      () => ({ ...queryOf(race.choices), ...more() }),
      (query) => {
        window.clearTimeout(timer);
        timer = window.setTimeout(() => writeQuery(query), 250); // browsers limit how often an address may change
      },
    );
  });
  return { race, isReady };
};
