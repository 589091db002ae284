/** A callback is an object with some of a few methods. A slip in a name would be a method that is never called. */

import { nearest, OptionError, show } from "../errors.js";
import type { Callback } from "./training.js";

const METHODS: readonly string[] = [
  "onTrainBegin",
  "onEpochBegin",
  "onBatchEnd",
  "onEpochEnd",
  "onTrainEnd",
  "state",
  "restore",
  "ownVariables",
] satisfies (keyof Callback)[];

/** @throws OptionError for a method that `fit` would never call, and for half of what saving state takes. An instance of a class may have
 *  methods of its own, as long as they do not sound like an event. */
export const checkCallback = (callback: object, place: number): void => {
  const refuse = (wrong: string, received: string, remedy: string): never => {
    throw new OptionError(`callbacks[${place}] of fit ${wrong}`, received, remedy);
  };
  if ("setModel" in callback)
    refuse(
      "is a callback of TensorFlow.js",
      show(callback),
      "Give it to model.fit. What saves and resumes here is the option checkpoints.",
    );
  const isPlain = [Object.prototype, null].includes(Object.getPrototypeOf(callback));
  const names = propertiesOf(callback);
  for (const name of names) {
    const value = (callback as Record<string, unknown>)[name];
    if (METHODS.includes(name)) {
      if (value !== undefined && typeof value !== "function")
        refuse("must have functions as its methods", `${name}=${show(value)}`, "Give a function, or leave it out.");
    } else if (typeof value === "function" && (isPlain || /^(on|batch|epoch|train)/i.test(name)))
      refuse(
        "has a method that is never called",
        name,
        `Did you mean ${nearest(name, METHODS) ?? nearest(`on${name}`, METHODS) ?? METHODS.slice(0, 5).join(", ")}?`,
      );
  }
  if (!names.some((name) => METHODS.includes(name)))
    refuse("has no method that fit calls", show(callback), `It may have ${METHODS.join(", ")}.`);
  if ("state" in callback !== "restore" in callback)
    refuse(
      "needs both state and restore, or neither",
      names.join(", "),
      "Give the other one, too: what is saved must be given back.",
    );
};

/** Names of its own and of its class. */
const propertiesOf = (object: object): string[] => {
  const names = new Set<string>();
  for (let one: object | null = object; one && one !== Object.prototype; one = Object.getPrototypeOf(one))
    for (const name of Object.getOwnPropertyNames(one)) if (name !== "constructor") names.add(name);
  return [...names];
};
