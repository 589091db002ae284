/** Compiles the visitor's rule, and runs it on the course of the race. The page ends this worker when it takes too long. */

import { type Chosen, optionsOf } from "../race/options.ts";
import { rateOf, run } from "../race/run.ts";
import { surfaceOf } from "../race/surfaces.ts";
import type { Course, Track } from "../race/track.ts";
import { compileRule, located, type Problem } from "./compile.ts";

export interface OwnRequest {
  readonly source: string;
  readonly course: Course;
  readonly learningRate: number;
  readonly chosen: Chosen;
}

export type OwnAnswer =
  | { readonly kind: "ready" }
  | { readonly kind: "ran"; readonly name: string; readonly slots: readonly string[]; readonly track: Track }
  | { readonly kind: "failed"; readonly problem: Problem };

const answer = ({ source, course, learningRate, chosen }: OwnRequest): OwnAnswer => {
  try {
    const rule = compileRule(source);
    const rate = rateOf(learningRate, chosen, surfaceOf(course.surface).steps);
    return { kind: "ran", name: rule.name, slots: rule.slots, track: run(rule, rate, optionsOf(chosen, false), course) };
  } catch (error) {
    const { message, line, isSyntax } = located(error, source);
    return { kind: "failed", problem: { message, line, isSyntax } };
  }
};

const post: (answer: OwnAnswer) => void = self.postMessage.bind(self);
self.onmessage = ({ data }: MessageEvent<OwnRequest>) => post(answer(data));

/** What no rule needs: a rule may be somebody else's, and what it is told stays here. */
const TAKEN = [
  "postMessage",
  "close",
  "fetch",
  "XMLHttpRequest",
  "WebSocket",
  "EventSource",
  "importScripts",
  "Worker",
  "indexedDB",
  "caches",
];
for (const name of TAKEN) Object.defineProperty(self, name, { value: undefined });

post({ kind: "ready" });
