/** Names that TensorFlow.js makes up, and names that the user has chosen. It counts its own through the whole process, so that they are others in the
 *  next one. */

/** Of the name that TensorFlow.js gives a layer without one, "dense_Dense3": the words before the number of layers so far, which is counted through
 *  the whole process. null for a name of the user's. */
export const automaticKind = (name: string): string | null => {
  const [, kind, prefix, className] = /^(([a-z\d_]+)_([A-Z][A-Za-z\d]*?))\d+$/.exec(name) ?? [];
  return kind !== undefined && snakeCaseOf(className!) === prefix ? kind : null;
};

/** As TensorFlow.js has it: BatchNormalization becomes batch_normalization, Conv2D conv2d. */
const snakeCaseOf = (className: string): string =>
  className
    .replace(/(.)([A-Z][a-z0-9]+)/g, "$1_$2")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase();

/** Without the number by which a variable is told from another of its name: what was "dense/kernel" is "dense/kernel_1" when it is loaded beside it. */
export const withoutSuffix = (name: string): string => name.replace(/_\d+$/, "");

/** What stays of a name from process to process: that, without the numbers of layers that have no name; and nothing of a variable that has only a
 *  number. */
export const lastingName = (name: string): string => {
  if (/^\d+$/.test(name)) return "";
  const parts = withoutSuffix(name).split("/");
  return parts.map((part) => automaticKind(part) ?? part).join("/");
};
