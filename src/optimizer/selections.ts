/** Which of several selections means a variable. */

import type { Values } from "../backend.js";
import type { Variable } from "../variable.js";
import type { Chosen } from "./options.js";

/** Selections in their order. By identity, a variable is found in one look-up, however many there are; patterns are tried one after the other. */
export class Selections {
  readonly #chosen = new Map<Variable | Values, number>();
  readonly #patterns: (readonly [place: number, pattern: string | RegExp])[] = [];
  readonly list: Chosen[] = [];

  add(selection: Chosen): void {
    const { variables, names } = selection;
    const place = this.list.push(selection) - 1;
    for (const one of variables) if (!this.#chosen.has(one)) this.#chosen.set(one, place);
    for (const pattern of names) this.#patterns.push([place, pattern]);
  }

  /** The place of the first selection that names this variable; Infinity: none does. */
  placeOf(variable: Variable): number {
    const chosenAs = (one: Variable | Values | undefined): number => this.#chosen.get(one!) ?? Infinity;
    const found = this.#patterns.find(([, pattern]) => matches(pattern, variable));
    return Math.min(chosenAs(variable), chosenAs(variable.visible), found?.[0] ?? Infinity);
  }

  /** Patterns that none of these has in its name. */
  unmatched(variables: readonly Variable[]): (string | RegExp)[] {
    const patterns = this.#patterns.map(([, pattern]) => pattern);
    return patterns.filter((pattern) => !variables.some((variable) => matches(pattern, variable)));
  }
}

const matches = (pattern: string | RegExp, { names }: Variable): boolean => names.some((name) => name.search(pattern) >= 0);
