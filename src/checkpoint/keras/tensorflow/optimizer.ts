/** The state of an optimizer in a checkpoint, under our names: "iteration", "learning_rate", "momentum/dense/kernel", ... Pure. */

import type { GraphOptimizer, GraphVariable, ObjectGraph } from "./graph.js";

/** A variable under the name that it has here: a weight of the model, or an array of state. */
export interface Named<Variable extends GraphVariable = GraphVariable> {
  readonly name: string;
  readonly variable: Variable;
}

export interface OptimizerState {
  /** null: the file does not say. */
  readonly className: string | null;
  /** In the order in which Keras lists state; an array whose place is not known has the file's own name. */
  readonly state: readonly Named[];
  /** Of a legacy optimizer: beta_1, beta_2, decay. */
  readonly hyperparameters: readonly Named[];
}

/** The lists of an Adamax: how it calls them, what the names of their variables contain, and our name. */
const LISTS = [
  ["_model_variables_moving_average", "average", "average"],
  ["_accumulated_gradients", "", "accumulator"],
  ["_m", "m", "momentum"],
  ["_u", "u", "norm"],
] as const;
const SLOTS = new Map([
  ["m", "momentum"],
  ["v", "norm"],
]);
const HYPERPARAMETERS = ["beta_1", "beta_2", "decay"];

/** What `optimizer` keeps. `weights` are those of the model, in its order; `trainable` are the nodes of those that it trains, where known. */
export const stateOf = (
  graph: ObjectGraph,
  optimizer: GraphOptimizer,
  weights: readonly Named[],
  trainable: ReadonlySet<number> | null,
): OptimizerState =>
  optimizer.isLegacy ? legacyState(graph, optimizer, weights) : currentState(graph, optimizer, weights, trainable);

const named = (name: string, variable: GraphVariable | null): Named[] => (variable ? [{ name, variable }] : []);

const currentState = (
  graph: ObjectGraph,
  { node }: GraphOptimizer,
  weights: readonly Named[],
  trainable: ReadonlySet<number> | null,
): OptimizerState => {
  const first = [
    ...named("iteration", graph.child(node, "_iterations")),
    ...named("learning_rate", graph.child(node, "_learning_rate")),
  ];
  const lists = LISTS.map(([list, label, kind]) => ({ label, kind, variables: graph.list(node, list) }));
  const isAdamax = lists.slice(2).every(({ variables }) => variables.length > 0);
  const known = new Set(first.map(({ variable }) => variable.node));
  const others = graph.list(node, "_variables").filter((variable) => !known.has(variable.node));
  const className = isAdamax ? "Adamax" : others.length > 0 ? (classOf(others[0]!.name) ?? "another than Adamax") : null;
  const asInFile: OptimizerState = {
    className,
    state: [...first, ...others.map((variable) => ({ name: variable.name, variable }))],
    hyperparameters: [],
  };
  if (!isAdamax) return asInFile;

  const byNode = new Map(weights.map((weight) => [weight.variable.node, weight]));
  const candidates = weights.filter(({ variable }) => trainable?.has(variable.node) ?? true);
  const listed = graph.list(node, "_trainable_variables").map((variable) => byNode.get(variable.node) ?? null); // Keras 3
  const arrays = new Map<string, Named>();
  let order: readonly string[] = [];
  for (const { label, kind, variables } of lists) {
    if (variables.length === 0) continue;
    const owners = listed.length > 0 ? listed : ownersByName(variables, label, candidates);
    const trained = owners.flatMap((owner) => (owner ? [owner.name] : []));
    if (trained.length !== variables.length) return asInFile;
    for (const [i, variable] of variables.entries()) {
      const name = `${kind}/${trained[i]}`;
      arrays.set(name, { name, variable });
    }
    if (order.length === 0) order = trained;
  }
  const shared = lists.slice(0, 2).filter(({ variables }) => variables.length > 0);
  const names = [
    ...shared.flatMap(({ kind }) => order.map((name) => `${kind}/${name}`)),
    ...order.flatMap((name) => lists.slice(2).map(({ kind }) => `${kind}/${name}`)),
  ];
  if (names.length !== arrays.size || !names.every((name) => arrays.has(name))) return asInFile;
  return { className, state: [...first, ...names.map((name) => arrays.get(name)!)], hyperparameters: [] };
};

/** Whose the variables of a list are: "Adamax/m/dense/kernel" or "m/dense/kernel" is that of "dense/kernel". Weights of one name are told apart
 *  by their order, where all of them have a variable in the list. */
const ownersByName = (variables: readonly GraphVariable[], label: string, weights: readonly Named[]): (Named | null)[] => {
  const owner = ({ name }: GraphVariable): string => {
    const begin = name.startsWith(`${label}/`) ? 0 : name.indexOf(`/${label}/`) + 1;
    return name.slice(begin + label.length + 1);
  };
  const candidates = grouped(weights, ({ variable }) => variable.name);
  const kept = grouped(variables, owner);
  const owners = new Map<GraphVariable, Named>();
  for (const [name, list] of kept) {
    const possible = candidates.get(name) ?? [];
    if (possible.length === list.length) for (const [i, variable] of list.entries()) owners.set(variable, possible[i]!);
  }
  return variables.map((variable) => owners.get(variable) ?? null);
};

const grouped = <Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> => {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
};

const legacyState = (graph: ObjectGraph, { node }: GraphOptimizer, weights: readonly Named[]): OptimizerState => {
  const iteration = graph.child(node, "iter");
  const className = classOf(iteration?.name);
  const first = [...named("iteration", iteration), ...named("learning_rate", graph.child(node, "learning_rate"))];
  const names = [...new Set(graph.slots(node).map(({ name }) => name))];
  const isAdamax = className === "Adamax" || (className === null && names.every((name) => SLOTS.has(name)));
  const kinds = isAdamax ? [...SLOTS] : names.map((name) => [name, name] as const);
  const slots = new Map(graph.slots(node).map((slot) => [`${slot.name} ${slot.of}`, slot]));
  const state = weights.flatMap((weight) =>
    kinds.flatMap(([slot, kind]) => {
      const found = slots.get(`${slot} ${weight.variable.node}`);
      return found ? named(`${kind}/${weight.name}`, graph.variable(found.node)) : [];
    }),
  );
  const hyperparameters = HYPERPARAMETERS.flatMap((name) => named(name, graph.child(node, name)));
  return { className, state: [...first, ...state], hyperparameters };
};

/** The classes of Keras, one of which gives its name to an optimizer that the user gave none. */
const CLASSES = ["Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Nadam", "RMSprop", "SGD"];

/** "Adamax", of its variable "Adamax/iter". */
const classOf = (variable: string | undefined): string | null => {
  const name = variable?.split("/")[0]?.replace(/_\d+$/, "").toLowerCase();
  return CLASSES.find((className) => className.toLowerCase() === name) ?? null;
};
