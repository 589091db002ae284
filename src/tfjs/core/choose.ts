/** Where tensors are trained: as near to them as TensorFlow.js lets us. */

import * as tf from "@tensorflow/tfjs-core";
import { DeviceBackend } from "./device.js";
import { HeapBackend } from "./heap.js";
import { lacking } from "./private-members.js";
import { CompiledBackend } from "./webgpu/backend.js";

/** In the memory of the backend that TensorFlow.js uses now. null where our step cannot run there, or only in 16-bit floats. */
export const nearest = (): HeapBackend | DeviceBackend | null => {
  switch (tf.getBackend()) {
    case "webgpu":
      return new CompiledBackend();
    case "webgl":
      return tf.env().getBool("WEBGL_RENDER_FLOAT32_ENABLED") && runsShaders() ? new DeviceBackend("webgl") : null;
    default:
      return HeapBackend.current();
  }
};

/** Whether this release of TensorFlow.js takes shaders as ours are. */
const runsShaders = (): boolean => lacking("webglBackend", tf.backend()).length === 0;
