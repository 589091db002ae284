/** The state of a race: what the visitor chose, what follows from it, and how both stand in the address. */

import { type ComputedRef, computed, reactive, shallowRef } from "vue";
import { numberIn, type Query } from "../address.ts";
import { CONTENDERS } from "./contenders.ts";
import { type Chosen, CONTROLS } from "./options.ts";
import { DOMAIN, type Point, type Surface, surfaceOf } from "./surfaces.ts";
import type { Course, Result } from "./track.ts";

export const OWN = "own";

export interface Choices {
  surface: string;
  /** null: the surface's own. */
  start: Point | null;
  /** The surface's own noise, so many times. */
  noise: number;
  seed: number;
  chosen: Chosen;
  /** Learning rates that differ from the surface's. */
  rates: Readonly<Record<string, number>>;
  hidden: readonly string[];
  /** Whose numbers are shown. */
  selected: string;
  /** How many steps are shown; null: all. */
  step: number | null;
}

export interface Race {
  readonly choices: Choices;
  readonly surface: ComputedRef<Surface>;
  readonly start: ComputedRef<Point>;
  readonly course: ComputedRef<Course>;
  /** Of the contenders that are known by name, each computed when it is first asked for. null: what runs them is not loaded. */
  readonly results: ReadonlyMap<string, ComputedRef<Result | null>>;
  /** Loads what runs them. Where it cannot be had, each result says so. */
  load(): Promise<void>;
}

export const initialChoices = (surface = "valley"): Choices => ({
  surface,
  start: null,
  noise: 1,
  seed: 1,
  chosen: {},
  rates: {},
  hidden: [],
  selected: "adamax",
  step: null,
});

export const createRace = (given: Choices): Race => {
  const choices = reactive(given) as Choices;
  const surface = computed(() => surfaceOf(choices.surface));
  const start = computed(() => choices.start ?? surface.value.start);
  const course = computed(
    (): Course => ({ surface: surface.value.id, start: { ...start.value }, seed: choices.seed, noise: choices.noise }),
  );
  const engine = shallowRef<Pick<typeof import("./engine.ts"), "resultOf"> | null>(null);
  const load = async () => {
    engine.value = await import("./engine.ts").catch(() => ({ resultOf: () => ({ problem: NOT_LOADED }) }));
  };
  const resultOf = (id: string) => engine.value?.resultOf(id, learningRateOf(choices, id), choices.chosen, course.value) ?? null;
  const results = new Map(CONTENDERS.map(({ id }) => [id, computed(() => resultOf(id))]));
  return { choices, surface, start, course, results, load };
};

const NOT_LOADED = "What runs the optimizers could not be loaded. Is there a network? Reload the page.";

export const learningRateOf = ({ rates, surface }: Choices, id: string): number =>
  rates[id] ?? surfaceOf(surface).rates[id] ?? surfaceOf(surface).rates.adamax!;

/** Only what differs from the beginning. */
export const queryOf = (choices: Choices): Query => {
  const plain = initialChoices();
  const { surface, start, noise, seed, chosen, rates, hidden, selected, step } = choices;
  const entries: [string, string | null][] = [
    ["surface", surface === plain.surface ? null : surface],
    ["start", start && `${start.x},${start.y}`],
    ["noise", noise === plain.noise ? null : `${noise}`],
    ["seed", seed === plain.seed ? null : `${seed}`],
    ["hidden", hidden.length === 0 ? null : hidden.join(",")],
    ["numbers", selected === plain.selected ? null : selected],
    ["step", step === null ? null : `${Math.round(step)}`],
    ...Object.entries(rates).map(([id, rate]): [string, string] => [`rate-${id}`, `${rate}`]),
    ...Object.entries(chosen).map(([name, value]): [string, string] => [name, `${value}`]),
  ];
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== null));
};

/** What an address says, as far as it can be: anybody may have written it. */
export const choicesFrom = (query: Query): Choices => {
  const plain = initialChoices();
  const surface = surfaceOf(query.surface ?? plain.surface);
  const [x, y] = (query.start ?? "").split(",").map(Number);
  const isInside = x! >= DOMAIN.left && x! <= DOMAIN.right && y! >= DOMAIN.bottom && y! <= DOMAIN.top;
  const ids = [...CONTENDERS.map(({ id }) => id), OWN];
  const rates = ids.flatMap((id): [string, number][] => {
    const rate = numberIn(query[`rate-${id}`], 1e-6, 10, Number.NaN);
    return Number.isNaN(rate) ? [] : [[id, rate]];
  });
  return {
    surface: surface.id,
    start: isInside ? { x: x!, y: y! } : null,
    noise: numberIn(query.noise, 0, 5, plain.noise),
    seed: Math.round(numberIn(query.seed, 1, 1e6, plain.seed)),
    chosen: chosenFrom(query),
    rates: Object.fromEntries(rates),
    hidden: (query.hidden ?? "").split(",").filter((id) => ids.includes(id)),
    selected: ids.includes(query.numbers ?? "") ? query.numbers! : plain.selected,
    step: "step" in query ? Math.round(numberIn(query.step, 0, surface.steps, surface.steps)) : null,
  };
};

const chosenFrom = (query: Query): Chosen =>
  Object.fromEntries(
    CONTROLS.flatMap((control): [string, number | boolean | string][] => {
      const text = query[control.name];
      if (text === undefined) return [];
      if (control.kind === "flag") return [[control.name, text === "true"]];
      if (control.kind === "text") return [[control.name, text.slice(0, 40)]];
      if (control.kind === "choice") return control.choices.includes(text) ? [[control.name, text]] : [];
      const value = numberIn(text, control.least, control.most, Number.NaN);
      return Number.isNaN(value) ? [] : [[control.name, value]];
    }),
  );
