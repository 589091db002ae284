/** The objects of a checkpoint: which variables are weights of the model, and which objects are optimizers. Pure. It follows what objects
 *  hold, by the names that TensorFlow and Keras give; what a user called them does not matter. */

import type { GraphNode, Slot } from "./messages.js";

/** A variable of the graph. */
export interface GraphVariable {
  readonly node: number;
  /** As it was made: "dense/kernel". */
  readonly name: string;
  /** Of its array. */
  readonly key: string;
}

/** A variable of a model. */
export interface GraphWeight extends GraphVariable {
  /** The names that lead to it. */
  readonly path: string;
  /** The node that holds it: its layer. */
  readonly holder: number;
}

export interface GraphOptimizer {
  readonly node: number;
  /** The shortest way to it, or to the one that it is inside of: "optimizer". */
  readonly path: string;
  /** Whether it is of the class that Keras had until TensorFlow 2.10. */
  readonly isLegacy: boolean;
}

/** Lists of variables that stand elsewhere too: they are looked through last. */
const ALIASES = new Set(["variables", "trainable_variables", "non_trainable_variables"]);
/** What is no weight of a model: metrics, functions, counters of checkpoints, and the copies that Keras 3's `export` adds. */
const NO_WEIGHTS = /^(keras_api|signatures|save_counter|_?(compile_|compiled_)?metrics|_?loss_tracker|_all_variables)$/;

const MOST_OPTIMIZERS = 100;

export class ObjectGraph {
  readonly #nodes: readonly GraphNode[];

  constructor(nodes: readonly GraphNode[]) {
    this.#nodes = nodes;
  }

  /** @throws Error for a node that there is not. */
  #node(id: number): GraphNode {
    const node = this.#nodes[id];
    if (node) return node;
    throw new Error(`object ${id} of ${this.#nodes.length}`);
  }

  /** The variable that a node is; null: it is something else. */
  variable(id: number | undefined): GraphVariable | null {
    const variable = id === undefined ? null : this.#node(id).variable;
    return variable && { node: id!, ...variable };
  }

  /** The variable that an object holds under this name. */
  child(id: number, name: string): GraphVariable | null {
    return this.variable(this.#node(id).children.get(name));
  }

  /** The variables in a list that an object holds under this name, in order. */
  list(id: number, name: string): GraphVariable[] {
    const list = this.#node(id).children.get(name);
    if (list === undefined) return [];
    const { children } = this.#node(list);
    return Array.from({ length: children.size }, (_, i) => this.variable(children.get(`${i}`))).filter((one) => one !== null);
  }

  /** What a legacy optimizer keeps for variables. */
  slots(id: number): readonly Slot[] {
    return this.#node(id).slots;
  }

  #isLegacyOptimizer(id: number): boolean {
    const { children, slots } = this.#node(id);
    return children.has("iter") && (slots.length > 0 || children.has("learning_rate"));
  }

  #isOptimizer(id: number): boolean {
    const { children } = this.#node(id);
    return (children.has("_iterations") && children.has("_variables")) || this.#isLegacyOptimizer(id);
  }

  /** Keras 3 keeps an optimizer inside the one that scales the loss. */
  #inner(id: number): number {
    const inner = this.#node(id).children.get("inner_optimizer");
    return inner !== undefined && this.#isOptimizer(inner) ? inner : id;
  }

  /** The variables under an object, in the order in which it holds them, without those of optimizers. */
  weightsUnder(root: number): GraphWeight[] {
    const found: GraphWeight[] = [];
    const seen = new Set<number>();
    const waiting = [{ id: root, path: "", holder: root }]; // the next one last: a graph may be deeper than calls can be
    while (waiting.length > 0) {
      const { id, path, holder } = waiting.pop()!;
      if (seen.has(id) || this.#isOptimizer(id)) continue;
      seen.add(id);
      const variable = this.variable(id);
      if (variable) found.push({ ...variable, path, holder });
      const children = [...this.#node(id).children].filter(([name]) => !NO_WEIGHTS.test(name));
      const ordered = [false, true].flatMap((isAlias) => children.filter(([name]) => ALIASES.has(name) === isAlias));
      for (const [name, child] of ordered.reverse())
        waiting.push({ id: child, path: path === "" ? name : `${path}/${name}`, holder: id });
    }
    return found;
  }

  /** Every optimizer once. */
  optimizers(): GraphOptimizer[] {
    const found: GraphOptimizer[] = [];
    const cameFrom = new Map<number, { readonly parent: number; readonly name: string }>([[0, { parent: 0, name: "" }]]);
    const pathTo = (id: number): string => {
      const names: string[] = [];
      for (let at = id; at > 0; at = cameFrom.get(at)!.parent) names.push(cameFrom.get(at)!.name);
      return names.reverse().join("/");
    };
    // What is added while the loop goes on is visited too.
    for (const id of cameFrom.keys()) {
      if (found.length > MOST_OPTIMIZERS) throw new Error(`more than ${MOST_OPTIMIZERS} optimizers`);
      if (this.#isOptimizer(id)) found.push({ node: this.#inner(id), path: pathTo(id), isLegacy: this.#isLegacyOptimizer(id) });
      else
        for (const [name, child] of this.#node(id).children) if (!cameFrom.has(child)) cameFrom.set(child, { parent: id, name });
    }
    return found;
  }

  /** The model that was compiled with this optimizer; null: none, or more than one. */
  modelOf(optimizer: GraphOptimizer): number | null {
    const owners = [...this.#nodes.keys()].filter((id) => {
      const held = this.#nodes[id]!.children.get("optimizer");
      return id > 0 && held !== undefined && this.#inner(held) === optimizer.node;
    });
    return owners.length === 1 ? owners[0]! : null;
  }
}
