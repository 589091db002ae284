/** What an export says about its optimizer: PyTorch's param_groups, or what Optax' optimizer was made with. */

import { CheckpointError, show } from "../../errors.js";
import { belowOne, type Kind, nonNegative, upToOne } from "../../kinds.js";
import { type JsonValue, parsePlainJson } from "../format/json.js";
import { isObject } from "../keras/layers.js";

/** The numbers of an exported optimizer, as options here are called. */
export interface ExportSettings {
  /** null: a schedule, or several rates; give it again. */
  readonly learningRate: number | null;
  readonly beta1: number;
  readonly beta2: number;
  /** Inside the maximum. */
  readonly epsilon: number;
  /** Decoupled, as here: of optax.adamaxw. */
  readonly weightDecay: number | null;
  /** What has no counterpart here, or must be given again: with the option that settles it. */
  readonly problems: readonly ExportProblem[];
}

/** Something of an exported optimizer that an optimizer here would do in another way. */
export interface ExportProblem {
  readonly what: string;
  /** The option that settles it when it is given; null: nothing does. */
  readonly option: "learningRate" | "weightDecay" | null;
  readonly remedy: string;
}

/** How a library calls the parts of its state. */
export interface Library {
  readonly momentum: string;
  readonly norm: string;
  readonly step: string;
  /** Whether each variable counts its own steps. */
  readonly stepPerVariable: boolean;
}

const OPTAX: Library = { momentum: "mu", norm: "nu", step: "count", stepPerVariable: false };
export const LIBRARIES = {
  "torch.optim.Adamax": { momentum: "exp_avg", norm: "exp_inf", step: "step", stepPerVariable: true },
  "optax.adamax": OPTAX,
  "optax.adamaxw": OPTAX,
} as const satisfies Record<string, Library>;
export type ExportClass = keyof typeof LIBRARIES;

type Json = Readonly<Record<string, JsonValue>>;

/** @throws CheckpointError for JSON that names no such optimizer, or a number out of its range. */
export const parseSettings = (text: string, what: string): { className: ExportClass; settings: ExportSettings } => {
  const json = parsePlainJson(text, `What ${what} says about its optimizer`);
  const className = isObject(json) ? json.class : undefined;
  if (!isObject(json) || typeof className !== "string" || !Object.hasOwn(LIBRARIES, className))
    throw new CheckpointError(
      `${what} is no export of an Adamax`,
      `class=${show(className)}`,
      `Export one of ${Object.keys(LIBRARIES).join(", ")}.`,
    );
  const number = (from: Json, key: string, kind: Kind<number>, byDefault: number): number => {
    const value = from[key] ?? byDefault;
    if (kind.holds(value)) return value as number;
    throw new CheckpointError(`${key} of ${className} in ${what} must be ${kind.wanted}`, show(value), "Export it again.");
  };
  const settings =
    className === "torch.optim.Adamax" ? torchSettings(json, number, what) : optaxSettings(json, className, number);
  return { className: className as ExportClass, settings };
};

type Take = (from: Json, key: string, kind: Kind<number>, byDefault: number) => number;

const rateProblem = (what: string, remedy: string): ExportProblem => ({ what, option: "learningRate", remedy });

const torchSettings = (json: Json, number: Take, what: string): ExportSettings => {
  const groups = json.param_groups;
  if (!Array.isArray(groups) || groups.length === 0 || !groups.every(isObject))
    throw new CheckpointError(
      `${what} does not say how its optimizer is set`,
      `param_groups=${show(groups)}`,
      "Export it again.",
    );
  const each = (groups as Json[]).map((group) => {
    const betas = group.betas ?? [0.9, 0.999];
    const [beta1, beta2] = Array.isArray(betas) ? (betas as JsonValue[]) : [];
    return {
      lr: number(group, "lr", nonNegative, 0.002),
      beta1: number({ betas: beta1 ?? null }, "betas", belowOne, Number.NaN),
      beta2: number({ betas: beta2 ?? null }, "betas", upToOne, Number.NaN),
      eps: number(group, "eps", nonNegative, 1e-8),
      weight_decay: number(group, "weight_decay", nonNegative, 0),
      maximize: group.maximize === true,
    };
  });
  const [first] = each as [(typeof each)[number]];
  const differing = (Object.keys(first) as (keyof typeof first)[]).filter((key) => each.some((one) => one[key] !== first[key]));
  const rates = [...new Set(each.map(({ lr }) => lr))].join(", ");
  const problems: ExportProblem[] = [
    ...(differing.includes("lr")
      ? [rateProblem(`several learning rates (${rates})`, "Give learningRate, and groups for the variables that have another.")]
      : []),
    ...differing
      .filter((key) => key !== "lr")
      .map((key) => ({ what: `param_groups that differ in ${key}`, option: null, remedy: "Here, it is one for all variables." })),
    ...(each.some(({ weight_decay }) => weight_decay > 0)
      ? ([
          {
            what: `weight_decay=${first.weight_decay}, which PyTorch adds to the gradient`,
            option: "weightDecay",
            remedy:
              "Ours shrinks the variable itself, as Keras' does: give weightDecay (null for none), or add it to your gradients.",
          },
        ] as const)
      : []),
    ...(first.maximize ? [{ what: "maximize=True", option: null, remedy: "Negate your gradients, and export without it." }] : []),
  ];
  const { lr, beta1, beta2, eps: epsilon } = first;
  return { learningRate: differing.includes("lr") ? null : lr, beta1, beta2, epsilon, weightDecay: null, problems };
};

const optaxSettings = (json: Json, className: string, number: Take): ExportSettings => {
  const hasRate = typeof json.learning_rate === "number";
  const decays = className === "optax.adamaxw";
  const remedy = "Give learningRate: a number, or a schedule (docs/arguments.md).";
  return {
    learningRate: hasRate ? number(json, "learning_rate", nonNegative, 0) : null,
    beta1: number(json, "b1", belowOne, 0.9),
    beta2: number(json, "b2", upToOne, 0.999),
    epsilon: number(json, "eps", nonNegative, 1e-8),
    weightDecay: decays ? number(json, "weight_decay", nonNegative, 1e-4) : null,
    problems: hasRate ? [] : [rateProblem("no learning rate, or a schedule, which the export does not hold", remedy)],
  };
};
