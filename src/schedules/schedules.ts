/** `schedules`, as the core gives it: an object, and the types of the same names. (`export * as` would do, if bundlers did not add functions of their own
 *  for it, in a file of its own where a page is split: 200 bytes of every page.) */

import type * as all from "./index.js";
import { LearningRateSchedule } from "./schedule.js";
import { deserialize, ofKeras, serialize } from "./serialization.js";

/** The learning rate schedules of Keras, and what a schedule of your own extends. (The reference shows ./index.ts in its place.)
 *  @hidden */
export const schedules = { ...ofKeras, LearningRateSchedule, deserialize, serialize };

/** @hidden */
export declare namespace schedules {
  type CosineDecay = all.CosineDecay;
  type CosineDecayOptions = all.CosineDecayOptions;
  type CosineDecayRestarts = all.CosineDecayRestarts;
  type CosineDecayRestartsOptions = all.CosineDecayRestartsOptions;
  type ExponentialDecay = all.ExponentialDecay;
  type ExponentialDecayOptions = all.ExponentialDecayOptions;
  type InverseTimeDecay = all.InverseTimeDecay;
  type InverseTimeDecayOptions = all.InverseTimeDecayOptions;
  type LearningRateSchedule = all.LearningRateSchedule;
  type PiecewiseConstantDecay = all.PiecewiseConstantDecay;
  type PiecewiseConstantDecayOptions = all.PiecewiseConstantDecayOptions;
  type PolynomialDecay = all.PolynomialDecay;
  type PolynomialDecayOptions = all.PolynomialDecayOptions;
  type ScheduleClass = all.ScheduleClass;
  type SerializedSchedule = all.SerializedSchedule;
}
