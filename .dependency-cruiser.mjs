/** Imports go down only (types too), and never in a circle. From top to bottom; a layer may import itself and what is below.
 *  What stands in src/ and is not named here is of the layer that the optimizer is made of. */
const layers = {
  programs: "^(cli|examples|bench|site|src/cli)/",
  index: "^src/index\\.ts$",
  adapters: "^src/(tfjs|jax|mesh|webgpu|checkpoint|training)/",
  adamax: "^src/adamax\\.ts$",
  optimizer: "^src/optimizer/optimizer\\.ts$",
  parts:
    "^src/(?!index\\.ts|adamax\\.ts|optimizer/optimizer\\.ts|errors\\.ts|kinds\\.ts|backend\\.ts|(tfjs|jax|mesh|webgpu|checkpoint|training|cli)/)",
  ground: "^src/(errors|kinds|backend)\\.ts$",
};
// The one exception: what a backend is asked to run. A type; a circle through it is still refused.
const contract = "^src/rule/program\\.ts$";
const names = Object.keys(layers);

const downOnly = names.slice(1).map((name, index) => ({
  name: `${name}-import-down-only`,
  severity: "error",
  from: { path: layers[name] },
  to: { path: names.slice(0, index + 1).map((above) => layers[above]), pathNot: name === "ground" ? contract : undefined },
}));

export default {
  forbidden: [
    ...downOnly,
    { name: "no-circle", severity: "error", from: {}, to: { circular: true } },
    {
      name: "what-an-optimizer-is-made-of-does-not-know-it",
      severity: "error",
      from: { path: layers.parts, pathNot: "^src/optimizer/" },
      to: { path: "^src/optimizer/" },
    },
    {
      name: "adapters-do-not-import-each-other",
      severity: "error",
      from: { path: "^src/(tfjs|jax|mesh|webgpu|checkpoint|training)/" },
      to: { path: layers.adapters, pathNot: "^src/$1/" },
    },
    {
      name: "backends-do-not-import-each-other", // what they share is in backends/cpu, their contract in backend.ts
      severity: "error",
      from: { path: "^src/backends/([^/]+)/" },
      to: { path: "^src/backends/[^/]+/", pathNot: "^src/backends/($1|cpu)/" },
    },
    {
      name: "a-backend-knows-only-rules", // and what carries data to it: variables
      severity: "error",
      from: { path: "^src/backends/[^/]+/" },
      to: { path: "^src/", pathNot: "^src/(backends|rule)/|^src/(variable|indexed-slices|errors|kinds|backend)\\.ts$" },
    },
    { name: "src-imports-src", severity: "error", from: { path: "^src/" }, to: { path: "^(test|fixtures|scripts|dist)/" } },
    {
      name: "no-run-time-dependency", // only an adapter imports its peer, and the command its library
      severity: "error",
      from: { path: "^src/", pathNot: [layers.adapters, "^src/cli/"] },
      to: { path: "node_modules/" },
    },
    { name: "unresolvable", severity: "error", from: { path: "^src/" }, to: { couldNotResolve: true } },
  ],
  options: {
    // swc reads TypeScript without the compiler API, which TypeScript 7 does not have, and keeps type-only imports.
    parser: "swc",
    tsPreCompilationDeps: true,
    // Its reader of TypeScript knows no JSX: what the site's components import is seen by the bundler alone.
    exclude: { path: "^examples/[^/]+/out/|^site/(dist|pages)/|\\.tsx$" },
    doNotFollow: { path: "node_modules|^dist/" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "default"],
      extensions: [".ts", ".js", ".mjs"],
    },
  },
};
