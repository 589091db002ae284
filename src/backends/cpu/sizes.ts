/** Numbers of the CPU backends' memory. A file that imports nothing: so bundlers write them where they stand. */

/** Jobs that a segment has room for: one for each variable, so that a pass is one dispatch, and some to cut large variables into. The most is what
 *  threads can deal out at once: half of what fits 16 bits, because threads that claim in vain count on (wasm/claims.ts). */
export const LEAST_JOBS = 1024;
export const MOST_JOBS = 0x7fff;
/** A scalar stands ready for vector loads: repeated over 16 bytes. */
export const UNIFORM_BYTES = 16;
/** Chunks of foreign arrays that are in memory at once. */
export const MOST_SLOTS = 16;
export const MAX_THREADS = 256;
/** Arrays begin on cache lines. */
export const ALIGNMENT = 64;
/** Places among the arrays of a row. */
export const W = 0;
export const G = 1;
/** Those before this place are whole, "w" and "g"; the others are of the row's range. */
export const WHOLE = 2;
