const never = new Int32Array(new SharedArrayBuffer(4));

/** Leaves the core to others, for so many milliseconds. */
export const pause = (milliseconds: number): void => {
  Atomics.wait(never, 0, 0, milliseconds);
};
