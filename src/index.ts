/** The public names of the core. */

export { Adamax, type AdamaxOptions } from "./adamax.js";
export type {
  Backend,
  CompiledStep,
  Described,
  DeviceBuffer,
  DeviceGradient,
  Gradient,
  NearBackend,
  NearRow,
  NearStep,
  OnProgress,
  PartOfShape,
  Range,
  Ranks,
  Row,
  RowClass,
  RowRequest,
  StepParameters,
  Values,
} from "./backend.js";
export { InterpreterBackend } from "./backends/interpreter/interpreter.js";
export { WasmBackend } from "./backends/wasm/wasm.js";
export * as constraints from "./constraints.js";
export { BackendError, CheckpointError, OptionError, ShapeError } from "./errors.js";
export { IndexedSlices } from "./indexed-slices.js";
export type { Config, Dialect } from "./optimizer/configuration.js";
export { defineRule } from "./optimizer/define-rule.js";
export type { GradientAndVariable, LossAndGradients } from "./optimizer/gradients.js";
export { Optimizer } from "./optimizer/optimizer.js";
export type {
  BuildOptions,
  Group,
  LearningRate,
  OptimizerOptions,
  Selection,
  Settings,
  StepOptions,
} from "./optimizer/options.js";
export type { SavedState, StateOrder, StateVariable } from "./optimizer/state.js";
export type { CheckpointContent, FoundCheckpoint, ManagerOf, SavingOptions, TrainingPlace } from "./resuming/manager.js";
export { abs, constant, Expression, globalNorm, ifPositive, max, min, norm, type Operand, sign } from "./rule/expression.js";
export type { DType, Node, Pass, Program, Scalar } from "./rule/program.js";
export {
  decayRate,
  fraction,
  type Hyperparameter,
  nonNegative,
  type Scalars,
  type UpdateRule,
} from "./rule/update-rule.js";
export { schedules } from "./schedules/schedules.js";
export {
  type EarlyStoppingOptions,
  earlyStopping,
  type ReduceLROnPlateauOptions,
  reduceLROnPlateau,
  terminateOnNaN,
} from "./training/callbacks.js";
export { fit, type Surroundings } from "./training/fit.js";
export { type BatchOptions, inBatches, shuffled } from "./training/in-batches.js";
export { type LogOptions, type LogTarget, logEpochs } from "./training/log-epochs.js";
export type { Monitor, MonitorOptions } from "./training/monitor.js";
export type { Batches, BatchLoss, Checkpoints, FitOptions, Manager, Metric, Validation } from "./training/options.js";
export type { ProgressKind, Terminal } from "./training/progress.js";
export type { BatchResult, Callback, EpochResult, History, TrainableOptimizer, Training } from "./training/training.js";
export { type Constraint, Variable, type VariableOptions } from "./variable.js";
