/** The options of the optimizer's page as controls: what each may be, and what they become. Pure. */

interface Common {
  readonly name: string;
  /** Whose it is: Adamax' own, or one that every optimizer here has. */
  readonly of: "adamax" | "all";
  /** In a few words. */
  readonly says: string;
}
/** A number on a slider. Where `off` is true it may be left out, and is at first. */
export interface NumberControl extends Common {
  readonly kind: "number";
  readonly byDefault: number;
  readonly least: number;
  readonly most: number;
  /** "log": equal steps of the slider are equal factors; "below one": of the distance from 1. */
  readonly scale: "linear" | "log" | "below one" | "whole";
  readonly off?: true;
}
export interface FlagControl extends Common {
  readonly kind: "flag";
  readonly byDefault: boolean;
}
export interface ChoiceControl extends Common {
  readonly kind: "choice";
  readonly byDefault: string;
  readonly choices: readonly string[];
}
export interface TextControl extends Common {
  readonly kind: "text";
  readonly byDefault: string;
}
export type Control = NumberControl | FlagControl | ChoiceControl | TextControl;

const number = (
  name: string,
  of: Common["of"],
  says: string,
  scale: NumberControl["scale"],
  [least, byDefault, most]: readonly [number, number, number],
  off?: true,
): NumberControl => ({ kind: "number", name, of, says, scale, least, byDefault, most, ...(off ? { off } : {}) });

export const SCHEDULE = "schedule";
export const SCHEDULES = [
  "constant",
  "CosineDecay",
  "CosineDecayRestarts",
  "ExponentialDecay",
  "InverseTimeDecay",
  "PolynomialDecay",
] as const;

export const CONTROLS: readonly Control[] = [
  number("beta1", "adamax", "how much of m stays", "below one", [0, 0.9, 0.999]),
  number("beta2", "adamax", "how much of u stays", "below one", [0, 0.999, 0.99999]),
  number("epsilon", "adamax", "added to u", "log", [1e-9, 1e-7, 1]),
  { kind: "text", name: "name", of: "adamax", says: "begins the names of its arrays", byDefault: "Adamax" },
  {
    kind: "choice",
    name: SCHEDULE,
    of: "all",
    says: "what learningRate does over the race",
    byDefault: "constant",
    choices: SCHEDULES,
  },
  number("weightDecay", "all", "decoupled, times the rate", "log", [0.001, 0.1, 10], true),
  number("clipnorm", "all", "limit of the gradient's norm", "log", [0.01, 1, 10], true),
  number("clipvalue", "all", "limit of each element", "log", [0.01, 1, 10], true),
  number("globalClipnorm", "all", "limit of all norms together", "log", [0.01, 1, 10], true),
  { kind: "flag", name: "useEma", of: "all", says: "keeps a moving average, drawn as dots", byDefault: false },
  number("emaMomentum", "all", "how much of the average stays", "below one", [0, 0.99, 0.999]),
  number("emaOverwriteFrequency", "all", "the average becomes the value every so many steps", "whole", [1, 50, 200], true),
  number("gradientAccumulationSteps", "all", "gradients in one update", "whole", [2, 4, 20], true),
  number("lossScaleFactor", "all", "gradients come times this", "log", [1, 1024, 65536], true),
  { kind: "flag", name: "jitCompile", of: "all", says: "WebAssembly; off: plain TypeScript, the same bits", byDefault: true },
];

/** What the visitor has changed, by the controls' names. A number that may be left out is there only when it is on. */
export type Chosen = Readonly<Record<string, number | boolean | string>>;

/** Only one of them can be set. */
const CLIPS = ["clipnorm", "clipvalue", "globalClipnorm"];

/** With one control changed; undefined: back to its default. */
export const withChoice = (chosen: Chosen, name: string, value: number | boolean | string | undefined): Chosen => {
  const others = Object.entries(chosen).filter(
    ([other]) => other !== name && !(value !== undefined && CLIPS.includes(name) && CLIPS.includes(other)),
  );
  const isDefault = CONTROLS.some((control) => control.name === name && control.byDefault === value && !("off" in control));
  return Object.fromEntries(value === undefined || isDefault ? others : [...others, [name, value]]);
};

/** Options of an optimizer; what is not there has its default. */
export type Options = Readonly<Record<string, number | boolean | string>>;

/** What a contender's optimizer is made with. */
export const optionsOf = (chosen: Chosen, isAdamax: boolean): Options =>
  Object.fromEntries(
    CONTROLS.filter(({ name, of }) => name in chosen && name !== SCHEDULE && (of === "all" || isAdamax)).map(({ name }) => [
      name,
      chosen[name]!,
    ]),
  );

/** A place on a slider, in [0, 1], and the number there. */
export const placeOf = ({ scale, least, most }: NumberControl, value: number): number => {
  if (scale === "log") return Math.log(value / least) / Math.log(most / least);
  if (scale === "below one") return Math.log((1 - least) / (1 - value)) / Math.log((1 - least) / (1 - most));
  return (value - least) / (most - least);
};
export const valueAt = ({ scale, least, most }: NumberControl, place: number): number => {
  if (scale === "log") return rounded(least * (most / least) ** place);
  if (scale === "below one") return 1 - rounded((1 - least) * ((1 - most) / (1 - least)) ** place);
  const value = least + (most - least) * place;
  return scale === "whole" ? Math.round(value) : rounded(value);
};
const rounded = (value: number): number => Number(value.toPrecision(2));
