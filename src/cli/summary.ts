/** What a file holds in a few words, for text and page alike. */

import type { Contents } from "./contents.js";

const FORMATS = {
  checkpoint: "a checkpoint of this library",
  export: "an export of another library's Adamax",
  keras: "a .keras file",
  "weights.h5": "a .weights.h5 file",
  h5: "a model in .h5",
  tfjs: "a TensorFlow.js model",
  "weights.json": "a .weights.json file with its shards",
  tensorflow: "a TensorFlow checkpoint",
  "saved-model": "a SavedModel",
};

/** "a .keras file: Adamax, 7 steps", and the settings with their values as text. */
export const summaryOf = ({ format, className, steps, config, note }: Contents) => ({
  format: FORMATS[format],
  optimizer:
    steps === null ? "no optimizer" : `${className ?? "an optimizer"}, ${steps} steps${config ? "" : "; no configuration"}`,
  settings: Object.entries(config ?? {})
    .filter(([, value]) => value !== null)
    .map(([key, value]) => [key, readable(value)] as const),
  note,
});

export const showNumber = (value: number | null): string => (value === null ? "-" : Number(value.toPrecision(6)).toString());

/** A schedule as it is made, CosineDecay(decay_steps=100); what is null or a name says nothing. */
const readable = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return `${value}`;
  const { class_name: className, config } = value as { class_name?: unknown; config?: unknown };
  if (typeof className !== "string" || typeof config !== "object" || config === null) return JSON.stringify(value);
  const given = Object.entries(config).filter(([key, one]) => one !== null && key !== "name");
  return `${className}(${given.map(([key, one]) => `${key}=${readable(one)}`).join(", ")})`;
};
