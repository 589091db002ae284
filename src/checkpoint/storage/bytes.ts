/** Bytes in memory that is not shared: what files of a browser take. Written so that it is `Uint8Array<ArrayBuffer>` where the compiler knows that type, which
 *  is TypeScript 5.7 and newer, and `Uint8Array` where it does not. */
export type Bytes = ReturnType<typeof Uint8Array.of>;
