/** What WebGPU calls GPUBufferUsage and GPUMapMode: Node has no such globals. */

export const USAGE = { mapRead: 0x1, copySource: 0x4, copyTarget: 0x8, uniform: 0x40, storage: 0x80 } as const;
export const MAP_MODE_READ = 1;
