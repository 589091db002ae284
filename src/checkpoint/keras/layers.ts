/** What Keras' files leave unsaid: how weights are called, which of them are trained, and in which order. */

import type { JsonValue } from "../format/json.js";
import type { StoredArray } from "./arrays.js";

/** One weight of a model. */
export interface KerasVariable extends StoredArray {
  /** null: the file does not say. */
  readonly trainable: boolean | null;
}

/** A layer with weights of its own; in a nested model, one of its layers. */
export interface Layer {
  readonly variables: readonly KerasVariable[];
}

/** What a model's configuration says about one of its layers. */
export interface LayerFacts {
  readonly name: string;
  readonly order: number;
  readonly trainable: boolean;
  readonly config: { readonly [key: string]: JsonValue };
}

export type JsonObject = { readonly [key: string]: JsonValue };
export const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The layers of a model's configuration by their path in a file of weights, "layers/dense_1": Keras numbers them by class. */
export const layersOf = (model: JsonValue | undefined): Map<string, LayerFacts> => {
  const facts = new Map<string, LayerFacts>();
  const visit = (one: JsonValue | undefined, prefix: string, trainable: boolean) => {
    const config = isObject(one) && isObject(one.config) ? one.config : {};
    if (!Array.isArray(config.layers)) return;
    const seen = new Map<string, number>();
    for (const layer of config.layers as JsonValue[]) {
      if (!isObject(layer) || !isObject(layer.config) || typeof layer.class_name !== "string") continue;
      const kind = snakeCase(layer.class_name.split(">").at(-1)!);
      const count = seen.get(kind) ?? 0;
      seen.set(kind, count + 1);
      const path = `${prefix}layers/${kind}${count > 0 ? `_${count}` : ""}`;
      const trains = trainable && layer.config.trainable !== false;
      facts.set(path, { name: String(layer.config.name ?? path), order: facts.size, trainable: trains, config: layer.config });
      visit(layer, `${path}/`, trains);
    }
  };
  visit(model, "", true);
  return facts;
};

/** Keras' own: MultiHeadAttention is multi_head_attention, Conv2D is conv2d. */
const snakeCase = (name: string): string =>
  name
    .replace(/\W+/g, "")
    .replace(/(.)([A-Z][a-z]+)/g, "$1_$2")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase();

const WEIGHTS: readonly (readonly [pattern: RegExp, names: readonly string[]])[] = [
  [/^batch_normalization$/, ["gamma", "beta", "moving_mean", "moving_variance"]],
  [/^normalization$/, ["mean", "variance", "count"]],
  [/normalization$/, ["gamma", "beta"]],
  [/^embedding$/, ["embeddings"]],
  [/^separable_conv/, ["depthwise_kernel", "pointwise_kernel", "bias"]],
  [/^(lstm_|gru_|simple_rnn_)?cell$/, ["kernel", "recurrent_kernel", "bias"]],
  [/dense$|conv\dd/, ["kernel", "bias"]],
  [/^seed_generator/, ["seed_generator_state"]],
];
const NEVER_TRAINED =
  /(^|\/)(moving_mean|moving_variance|seed_generator_state)(:\d+)?$|(^|\/)normalization(_\d+)?\/(mean|variance|count)(:\d+)?$/;

/** The names of the `count` weights that lie under `holder`, the last part of a path. Numbers where Keras' class is not known. */
export const weightNames = (holder: string, count: number, config: JsonObject = {}): string[] => {
  const kind = holder.replace(/_\d+$/, "");
  const numbers = Array.from({ length: count }, (_, i) => `${i}`);
  const [, all] = WEIGHTS.find(([pattern]) => pattern.test(kind)) ?? [];
  if (!all || count > all.length) return numbers;
  if (kind !== "batch_normalization" || count === all.length) return all.slice(0, count);
  const own = all.filter(
    (name) => !(name === "gamma" && config.scale === false) && !(name === "beta" && config.center === false),
  );
  return own.length === count ? own : [...numbers.slice(0, count - 2), ...all.slice(2)];
};

/** Weights that no optimizer trains. */
export const isNeverTrained = ({ name, dtype }: StoredArray): boolean => NEVER_TRAINED.test(name) || !/float/.test(dtype);

/** Where Keras makes parts of a layer in another order than that of their names. */
const PARTS = ["forward_layer", "backward_layer", "query_dense", "key_dense", "value_dense", "output_dense"];

/** dense_2 before dense_10; the parts of a layer in the order in which Keras makes them. */
export const compareNaturally = (a: string, b: string): number => {
  const [x, y] = [a, b].map((path) => path.split(/\/|(?<=_)(?=\d+(?:\/|$))/));
  for (let i = 0; i < Math.min(x!.length, y!.length); i++) {
    if (x![i] === y![i]) continue;
    const [p, q] = [PARTS.indexOf(x![i]!), PARTS.indexOf(y![i]!)];
    if (p >= 0 && q >= 0) return p - q;
    const [m, n] = [Number(x![i]), Number(y![i])];
    return Number.isNaN(m) || Number.isNaN(n) ? (x![i]! < y![i]! ? -1 : 1) : m - n;
  }
  return x!.length - y!.length;
};

const MOST_TRIES = 500_000;
/** As deep as a search goes that must guess. */
const MOST_LAYERS = 2000;

/** Variables that were taken so far, the last one first. */
type Taken = { readonly last: KerasVariable; readonly before: Taken; readonly count: number } | null;
const listOf = (taken: Taken): KerasVariable[] => {
  const list: KerasVariable[] = [];
  for (let one = taken; one; one = one.before) list.push(one.last);
  return list.reverse();
};

/** Which variables have state of these shapes, in this order: up to two answers. Each queue lists layers whose order is known; how queues
 *  interleave is not. With `mayBeFrozen`, a layer may be left out as a whole. */
export const align = (
  queues: readonly (readonly Layer[])[],
  shapes: readonly string[],
  mayBeFrozen: boolean,
): KerasVariable[][] => {
  const candidates = queues.map((queue) =>
    queue
      .map(({ variables }) => variables.filter((one) => !isNeverTrained(one) && (mayBeFrozen || one.trainable !== false)))
      .filter((variables) => variables.length > 0),
  );
  if (candidates.length === 1 && !mayBeFrozen) {
    const all = candidates[0]!.flat();
    return all.length === shapes.length && all.every(({ shape }, k) => shapes[k] === `${shape}`) ? [all] : [];
  }
  if (candidates.reduce((sum, { length }) => sum + length, 0) > MOST_LAYERS) return [];
  const left = candidates.map((queue) => queue.reduce((sum, { length }) => sum + length, 0));
  const answers = new Map<string, KerasVariable[]>();
  const dead = new Set<string>();
  let tries = 0;
  const search = (heads: readonly number[], taken: Taken): boolean => {
    const count = taken?.count ?? 0;
    const state = `${heads}|${count}`;
    tries += heads.length;
    if (dead.has(state) || tries > MOST_TRIES || answers.size > 1) return false;
    let found = false;
    if (count === shapes.length) {
      found = mayBeFrozen || heads.every((head, i) => head === candidates[i]!.length);
      const list = listOf(taken);
      if (found) answers.set(list.map(({ name }) => name).join("\n"), list);
    } else {
      for (const [i, head] of heads.entries()) {
        const variables = candidates[i]![head];
        if (!variables) continue;
        const next = heads.map((at, k) => at + (k === i ? 1 : 0));
        const fits = variables.every(({ shape }, k) => shapes[count + k] === `${shape}`);
        if (fits)
          found =
            search(
              next,
              variables.reduce<Taken>((before, last) => ({ last, before, count: (before?.count ?? 0) + 1 }), taken),
            ) || found;
        if (mayBeFrozen) found = search(next, taken) || found;
      }
    }
    if (!found) dead.add(state);
    return found;
  };
  const total = left.reduce((sum, length) => sum + length, 0);
  if (mayBeFrozen ? total >= shapes.length : total === shapes.length)
    search(
      candidates.map(() => 0),
      null,
    );
  return [...answers.values()];
};
