/** The public names of the adapter to TensorFlow.js. */

export { Adamax, type AdamaxOptions } from "./adamax.js";
export { type NamedGradient, type NamedGradients, type OptimizerClass, TensorOptimizer } from "./optimizer.js";
export type { TensorGroup, TensorOptions, TrainableTensor } from "./options.js";
