/** What callbacks know is saved with a checkpoint, and given back to callbacks of the same names, in their order. */

/** A callback that knows something which a restart must not lose. */
export interface Stateful<Training> {
  /** Tells apart the callbacks that have state. Default: the name of its class. */
  readonly name?: string;
  /** JSON; numbers that JSON lacks may be in it. */
  state(training: Training): unknown;
  restore(state: unknown, training: Training): void;
}

export interface CallbackState {
  readonly name: string;
  readonly state: unknown;
}

const nameOf = (callback: Stateful<never>): string => callback.name ?? callback.constructor.name;

export const statesOf = <Training>(callbacks: readonly Stateful<Training>[], training: Training): CallbackState[] =>
  callbacks.map((callback) => ({ name: nameOf(callback), state: callback.state(training) }));

/** Returns what there is to say: a callback that is new in the list begins afresh, and one that is gone is forgotten. */
export const restoreStates = <Training>(
  callbacks: readonly Stateful<Training>[],
  saved: readonly CallbackState[],
  training: Training,
): string[] => {
  const left = [...saved];
  const afresh: string[] = [];
  for (const callback of callbacks) {
    const name = nameOf(callback);
    const at = left.findIndex((one) => one.name === name);
    if (at < 0) afresh.push(`no state of the callback ${name}, which begins afresh`);
    else callback.restore(left.splice(at, 1)[0]!.state, training);
  }
  return [...afresh, ...left.map(({ name }) => `state of a callback ${name}, and there is none here`)];
};
