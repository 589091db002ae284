/** What has `requestAdapter` here: the page's, or in Node the package webgpu on SwiftShader. */

const own = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;

const inNode = async (): Promise<GPU> => {
  process.env.VK_ICD_FILENAMES ??= "/usr/lib/chromium/vk_swiftshader_icd.json"; // read when an adapter is asked for
  return (await import("webgpu")).create([]);
};

export const gpu: GPU = own ?? (await inNode());
