/** Which arrays of main memory WebGPU takes. */

import type { Values } from "../../backend.js";

/** The same elements in memory that WebGPU takes: not shared between threads (which ends Node's process), nor of a size that may change (which browsers
 *  refuse). */
export const uploadable = <Elements extends Values | Uint32Array>(elements: Elements): Elements => {
  const { buffer } = elements;
  const isFixed = buffer instanceof ArrayBuffer && !(buffer as { readonly resizable?: boolean }).resizable;
  return isFixed ? elements : (elements.slice() as Elements);
};
