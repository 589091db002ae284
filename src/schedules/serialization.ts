import { nearest, OptionError, show } from "../errors.js";
import { anything, check, checkKinds, type Kind, type Kinds, object, text } from "../kinds.js";
import { optionsFrom } from "../spelling.js";
import { CosineDecay } from "./cosine-decay.js";
import { CosineDecayRestarts } from "./cosine-decay-restarts.js";
import { ExponentialDecay } from "./exponential-decay.js";
import { InverseTimeDecay } from "./inverse-time-decay.js";
import { PiecewiseConstantDecay } from "./piecewise-constant-decay.js";
import { PolynomialDecay } from "./polynomial-decay.js";
import { schedule as aSchedule, type LearningRateSchedule } from "./schedule.js";

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

export const ofKeras = {
  CosineDecay,
  CosineDecayRestarts,
  ExponentialDecay,
  InverseTimeDecay,
  PiecewiseConstantDecay,
  PolynomialDecay,
} satisfies Record<string, ScheduleClass>;

/** The same in our spelling, as it is read. */
interface Serialized {
  className: string;
  config: Record<string, unknown>;
  registeredName?: unknown;
  module?: unknown;
  sharedObjectId?: unknown;
}

const SERIALIZED: Kinds<Serialized> = {
  className: text,
  config: object as Kind<Serialized["config"]>,
  registeredName: anything,
  module: anything,
  sharedObjectId: anything, // a SavedModel numbers its objects
};

/** `schedule` as JSON that tf_keras and Keras 3 read; one of your own under the name of its class, as they write those (so a
 *  bundler that shortens names must keep this one). JSON has no 1.0: where a rate is a whole number, Python reads an integer, and
 *  Keras refuses to compute with it; write the point into the text. */
export const serialize = (schedule: LearningRateSchedule): SerializedSchedule => {
  check("serialize", "schedule", schedule, aSchedule);
  const [name] = Object.entries<unknown>(ofKeras).find(([, scheduleClass]) => schedule.constructor === scheduleClass) ?? [];
  const own = schedule.constructor.name;
  return {
    module: name ? "keras.optimizers.schedules" : null,
    class_name: name ?? own,
    config: schedule.getConfig(),
    registered_name: name ? null : own,
  };
};

/** The schedule that `json` describes, written here, by tf_keras or by Keras 3, in either spelling. `customObjects` are classes of
 *  your own by the name they were saved under (class_name or registered_name).
 *  @throws OptionError for an unknown class, and for any key or value that the class does not take. */
export const deserialize = (
  json: Readonly<Record<string, unknown>>,
  customObjects: Readonly<Record<string, ScheduleClass>> = {},
): LearningRateSchedule => {
  const { className, registeredName, config } = checkKinds<Serialized>(
    "SerializedSchedule",
    optionsFrom(json ?? {}) as never,
    SERIALIZED,
  );
  const known = new Map(Object.entries<ScheduleClass>({ ...ofKeras, ...customObjects }));
  const scheduleClass = known.get(registeredName as string) ?? known.get(className) ?? known.get(className.replace(/^.*>/, "")); // "package>Name"
  if (!scheduleClass?.fromConfig) {
    const meant = nearest(className, Object.keys(ofKeras));
    throw new OptionError(
      "No schedule has this name",
      `class_name=${show(className)}`,
      meant ? `Did you mean ${meant}?` : "Pass its class in customObjects.",
    );
  }
  return scheduleClass.fromConfig(config);
};
