import { nearest, OptionError, show } from "../errors.js";
import { isObject } from "../kinds.js";
import { optionsFrom } from "../spelling.js";
import { CosineDecay } from "./cosine-decay.js";
import { CosineDecayRestarts } from "./cosine-decay-restarts.js";
import { ExponentialDecay } from "./exponential-decay.js";
import { InverseTimeDecay } from "./inverse-time-decay.js";
import { PiecewiseConstantDecay } from "./piecewise-constant-decay.js";
import { PolynomialDecay } from "./polynomial-decay.js";
import { LearningRateSchedule } from "./schedule.js";

/** The class of a schedule, as `deserialize` needs it: anything that extends LearningRateSchedule. */
export interface ScheduleClass {
  /** A schedule from what its getConfig gave. */
  fromConfig(config: Record<string, unknown>): LearningRateSchedule;
}

/** A schedule as tf_keras and Keras 3 write it. */
export type SerializedSchedule = {
  module: string | null;
  class_name: string;
  config: Record<string, unknown>;
  registered_name: string | null;
};

const ofKeras: Record<string, ScheduleClass> = {
  CosineDecay,
  CosineDecayRestarts,
  ExponentialDecay,
  InverseTimeDecay,
  PiecewiseConstantDecay,
  PolynomialDecay,
};

/** `schedule` as JSON that tf_keras and Keras 3 read; one of your own under the name of its class, as they write those (so a
 *  bundler that shortens names must keep this one). JSON has no 1.0: where a rate is a whole number, Python reads an integer, and
 *  Keras refuses to compute with it; write the point into the text. */
export const serialize = (schedule: LearningRateSchedule): SerializedSchedule => {
  if (!(schedule instanceof LearningRateSchedule))
    throw new OptionError("serialize takes a schedule", show(schedule), "Pass one.");
  const [name] = Object.entries<unknown>(ofKeras).find(([, scheduleClass]) => schedule.constructor === scheduleClass) ?? [];
  return {
    module: name ? "keras.optimizers.schedules" : null,
    class_name: name ?? schedule.constructor.name,
    config: schedule.getConfig(),
    registered_name: name ? null : schedule.constructor.name,
  };
};

/** The schedule that `json` describes, written here, by tf_keras or by Keras 3, in either spelling. `customObjects` are classes of
 *  your own by the name they were saved under (class_name or registered_name).
 *  @throws OptionError for an unknown class, and for any key or value that the class does not take. */
export const deserialize = (
  json: Readonly<Record<string, unknown>>,
  customObjects: Readonly<Record<string, ScheduleClass>> = {},
): LearningRateSchedule => {
  const { module: _, className, registeredName, config, sharedObjectId: __, ...unknown } = optionsFrom(json ?? {}); // a SavedModel numbers its objects
  if (typeof className !== "string" || !isObject(config) || Object.keys(unknown).length > 0)
    throw new OptionError(
      "A serialized schedule has class_name, config, and perhaps module and registered_name",
      `${show(json)} with ${Object.keys(json ?? {}).join(", ") || "no keys"}`,
      "Pass what serialize returned.",
    );
  const known = new Map(Object.entries({ ...ofKeras, ...customObjects }));
  const scheduleClass = known.get(registeredName as string) ?? known.get(className) ?? known.get(className.replace(/^.*>/, "")); // "package>Name"
  if (!scheduleClass) {
    const meant = nearest(className, [...known.keys()]);
    throw new OptionError(
      "No schedule has this name",
      `class_name=${show(className)}`,
      `${meant ? `Did you mean ${meant}? ` : ""}For one of your own, pass its class: deserialize(json, { ${className} }).`,
    );
  }
  return scheduleClass.fromConfig(config as Record<string, unknown>);
};
