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

/** Without the number by which a layer's weight is told from another of its name: what was "dense/kernel" is "dense/kernel_1" when it is loaded beside
 *  it. A name without a layer is the user's as it is: TensorFlow.js adds nothing to that. */
export const withoutSuffix = (name: string): string => (name.includes("/") ? name.replace(/_\d+$/, "") : name);

const isNumber = (name: string): boolean => /^\d+$/.test(name);

/** What stays of a name from process to process: that, without the numbers of layers that have no name; and nothing of a variable that has only a
 *  number. */
export const lastingName = (name: string): string => {
  if (isNumber(name)) return "";
  const parts = withoutSuffix(name).split("/");
  return parts.map((part) => automaticKind(part) ?? part).join("/");
};

/** What TensorFlow.js has counted: the number of a variable that has no name, and those of layers without one. */
const countersOf = (name: string): number[] =>
  isNumber(name) ? [Number(name)] : name.split("/").flatMap((part) => (automaticKind(part) === null ? [] : [lastNumber(part)]));

const lastNumber = (part: string): number => Number(/\d+$/.exec(part)![0]);

/** Whether both are the same names but for what TensorFlow.js had counted before: "dense_Dense3", "dense_Dense4" in one process, "dense_Dense4",
 *  "dense_Dense5" in another. */
export const areCountedOn = (names: readonly string[], others: readonly string[]): boolean => {
  if (names.length !== others.length) return false;
  const steps = names.map((name, i) => {
    const before = countersOf(others[i]!);
    return `${countersOf(name).map((counter, place) => counter - before[place]!)}`;
  });
  return steps.every((step) => step !== "" && step === steps[0]);
};
