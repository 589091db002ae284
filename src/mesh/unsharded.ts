/** In a layout: this axis lies whole on every rank. */
export const UNSHARDED = "unsharded";
