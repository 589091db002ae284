/** Sizes of memories, and how many threads are worth it. A file that imports nothing: so bundlers write the numbers where they stand. */

/** Bytes. */
export const PAGE = 65536;
export const MAX_PAGES = 65536;
/** "auto" starts workers when a memory of this size is asked for: about 3e5 parameters. Below, they would sleep. */
export const WORTH_THREADS_BYTES = 300_000 * 16;
export const MAX_AUTO_THREADS = 8;
