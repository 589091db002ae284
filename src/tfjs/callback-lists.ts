/** TensorFlow.js' lists of callbacks, for a callback that has to hear everything before and after all others. */

import { Callback, CallbackList, CustomCallback } from "@tensorflow/tfjs-layers";
import { OptionError } from "../errors.js";
import { assertHas } from "./core/private-members.js";

/** What a list is told of the training: epochs, initialEpoch, samples, batchSize, verbose, metrics ... */
export type Params = Parameters<CallbackList["setParams"]>[0];

/** A callback that gets hold of the list it is in, wherever it is in it. */
export abstract class ListCallback extends Callback {
  #isAttending = false;

  constructor() {
    super();
    hearOfLists();
    // In a list that begins with a plain object, TensorFlow.js keeps of each callback its methods alone.
    this.onTrainBegin = async () => {
      if (this.#isAttending) return;
      throw new OptionError(
        "adamax/tfjs must be given the same TensorFlow.js as the model",
        "a list of callbacks of another @tensorflow/tfjs-layers",
        "Install it once: npm ls @tensorflow/tfjs-layers.",
      );
    };
    byMethod.set(this.onTrainBegin, this);
  }

  /** Called before anybody in the list hears anything. */
  attend(list: CallbackList, params: Params): void {
    this.#isAttending = true;
    this.begin(list, params);
  }

  protected abstract begin(list: CallbackList, params: Params): void;
}

type Listed = CallbackList["callbacks"][number];

const byMethod = new WeakMap<object, ListCallback>();

const listCallbackIn = (callback: Listed): ListCallback | undefined =>
  callback instanceof ListCallback ? callback : byMethod.get((callback as { trainBegin?: object }).trainBegin ?? callback);

let hearing = false;

/** TensorFlow.js tells a callback nothing of the others, and has no way to pass them over. So the list itself is asked, in the first thing that it
 *  does. A list without a ListCallback goes its own way. */
const hearOfLists = (): void => {
  if (hearing) return;
  assertHas("callbackList", new CallbackList());
  assertHas("customCallback", new CustomCallback({ onTrainBegin: () => {} }));
  const { setParams } = CallbackList.prototype;
  CallbackList.prototype.setParams = function (this: CallbackList, params: Params): void {
    const found = this.callbacks.flatMap((callback) => listCallbackIn(callback) ?? []);
    // Behind a callback, TensorFlow.js leaves plain objects as they are, and then fails on them.
    if (found.length > 0)
      this.callbacks = this.callbacks.map((callback) => ("setParams" in callback ? callback : new CustomCallback(callback)));
    if (found.length > 1)
      throw new OptionError("A fit saves to one manager", `${found.length} of checkpoints in its callbacks`, "Leave one.");
    for (const callback of found) callback.attend(this, params);
    setParams.call(this, params);
  };
  hearing = true;
};
