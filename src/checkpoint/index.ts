/** The public names of checkpoints: the package's entry adamax/checkpoint. */

export type { OnProgress } from "../backend.js";
export type { Names } from "./compare.js";
export { type AdamaxExport, readAdamaxExport } from "./exports/adamax-export.js";
export type { ExportProblem, ExportSettings } from "./exports/settings.js";
export type { JsonValue } from "./format/json.js";
export type { TensorPlace, TensorShape, TensorType } from "./format/safetensors.js";
export { type CheckpointContents, inspectCheckpoint } from "./inspect.js";
export type { Numbers, StoredArray } from "./keras/arrays.js";
export type { KerasSource } from "./keras/files.js";
export type { Hdf5Options } from "./keras/hdf5.js";
export { type KerasOptions, kerasWeights, readKeras, writeKeras } from "./keras/keras.js";
export type { KerasVariable } from "./keras/layers.js";
export type { KerasFormat, KerasModel, KerasReadFormat, Restored } from "./keras/model.js";
export type { KerasOptimizer } from "./keras/optimizer.js";
export { type Loaded, loadCheckpoint } from "./load.js";
export type { AsNewOptimizer, IntoOptimizer, OptimizerClass } from "./load-options.js";
export { CheckpointManager, type KeptCheckpoint, type LoadedFromFolder, type ManagerOptions } from "./manager.js";
export { checkpointBlob, type SaveOptions, saveCheckpoint } from "./save.js";
export type { AnyOptimizer, Content, Description, Metrics, SavedOptimizer, SavedVariable } from "./state.js";
export type { BrowserFolder } from "./storage/folder.js";
export type { BrowserFile, BrowserFileWriter, CheckpointSource } from "./storage/source.js";
export type { CheckpointTarget } from "./storage/target.js";
