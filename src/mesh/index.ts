/** The public names of training over many machines: the package's entry adamax/mesh. */

export { Layout, LayoutMap, type Part } from "./layout.js";
export { createMesh, Mesh, type MeshDimension, type MeshOptions } from "./mesh.js";
export { UNSHARDED } from "./unsharded.js";
