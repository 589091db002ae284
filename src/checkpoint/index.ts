/** The public names of checkpoints: the package's entry adamax/checkpoint. */

export type { OnProgress } from "../backends/backend.js";
export { type CheckpointsOptions, checkpoints, type TrainingPlace } from "./callback.js";
export type { Names } from "./compare.js";
export { AdamaxExport, readAdamaxExport } from "./exports/adamax-export.js";
export type { ExportProblem, ExportSettings } from "./exports/settings.js";
export type { BrowserFolder } from "./folder.js";
export { type CheckpointContents, inspectCheckpoint } from "./inspect.js";
export type { JsonValue } from "./json.js";
export type { Numbers, StoredArray } from "./keras/arrays.js";
export type { Hdf5Options } from "./keras/hdf5.js";
export { type KerasOptions, type KerasSource, kerasWeights, readKeras, writeKeras } from "./keras/keras.js";
export type { KerasVariable } from "./keras/layers.js";
export { type KerasFormat, KerasModel, type KerasOptimizer, type Restored } from "./keras/model.js";
export { type Loaded, loadCheckpoint } from "./load.js";
export type { AsNewOptimizer, IntoOptimizer, OptimizerClass } from "./load-options.js";
export { CheckpointManager, type KeptCheckpoint, type LoadedFromFolder, type ManagerOptions } from "./manager.js";
export type { TensorPlace, TensorShape, TensorType } from "./safetensors.js";
export { checkpointBlob, type SaveOptions, saveCheckpoint } from "./save.js";
export type { BrowserFile, BrowserFileWriter, CheckpointSource } from "./source.js";
export type { AnyOptimizer, Content, Description, Metrics, SavedOptimizer, SavedVariable } from "./state.js";
export type { CheckpointTarget } from "./target.js";
