/** Tests of the semantics suite that are about one machine, and why they say nothing on ranks. */

export const ONE_MACHINE: readonly string[] = [
  "value and gradient are views", // gradients are reduced in the variable's own array
  "onProgress is told", // of a share, less
  "live", // state in shares is gathered: a copy
  "a view", //   likewise
  "dispose", //  asks for the backend that was chosen
  "backend", //  likewise
  "null counts as not given", // mesh among others
  "threads",
  "memory", //   what one memory holds
];
