/** For pages: TensorFlow.js on WebGL. */

import * as tf from "@tensorflow/tfjs";

/** Makes TensorFlow.js use WebGL. Returns what the browser calls the adapter that it draws with.
 *  @throws Error where there is no WebGL. */
export const startWebgl = async (): Promise<string> => {
  if (!(await tf.setBackend("webgl")))
    throw new Error("This browser has no WebGL. Start one that has: its path goes into the variable CHROMIUM.");
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  return info ? `${gl!.getParameter(info.UNMASKED_RENDERER_WEBGL)}` : "an adapter without a name";
};
