/** What has `requestAdapter` here: the page's, or Deno's; in Node the package webgpu on SwiftShader. */

const own = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu;

const inNode = async (): Promise<GPU> => {
  process.env.VK_ICD_FILENAMES ??= "/usr/lib/chromium/vk_swiftshader_icd.json"; // read when an adapter is asked for
  const name = "webgpu"; // not to be looked for where pages are bundled
  const { create } = (await import(/* @vite-ignore */ name)) as typeof import("webgpu");
  return create([]);
};

export const gpu: GPU = own ?? (await inNode());
