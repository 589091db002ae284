/** What runs the contenders. It needs the library, so it comes once the page is there: until then one can already look at it. */

import { Adamax, type Optimizer, type UpdateRule } from "adamax";
import { Adam } from "../../../examples/rules/adam.ts";
import { Lion } from "../../../examples/rules/lion.ts";
import { SGD } from "../../../examples/rules/sgd-momentum.ts";
import { type Chosen, optionsOf } from "./options.ts";
import { rateOf, run } from "./run.ts";
import { surfaceOf } from "./surfaces.ts";
import type { Course, Result } from "./track.ts";

const ruleOf = (optimizer: typeof Optimizer<never>): UpdateRule => optimizer.rule;

/** By the contenders' ids. */
export const RULES: Readonly<Record<string, UpdateRule>> = {
  adamax: ruleOf(Adamax as never),
  adam: ruleOf(Adam as never),
  sgd: ruleOf(SGD as never),
  lion: ruleOf(Lion as never),
};

export const resultOf = (id: string, learningRate: number, chosen: Chosen, course: Course): Result => {
  try {
    const rate = rateOf(learningRate, chosen, surfaceOf(course.surface).steps);
    return { track: run(RULES[id]!, rate, optionsOf(chosen, id === "adamax"), course) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
};
