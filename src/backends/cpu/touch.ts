import type { NearRow, OnProgress } from "../../backend.js";

const TOUCHED_AT_ONCE = 2 ** 24;

/** The first touch of fresh memory is slow, above all on virtual machines: that of the state is here, not in the first step. */
export const touch = (rows: readonly NearRow[], onProgress?: OnProgress): void => {
  const arrays = rows.flatMap((row) => row.request.state.map((name) => row.view(name)));
  const total = arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let bytes = 0;
  for (const array of arrays)
    for (let begin = 0; begin < array.length; begin += TOUCHED_AT_ONCE) {
      const part = array.subarray(begin, begin + TOUCHED_AT_ONCE).fill(0);
      bytes += part.byteLength;
      onProgress?.({ bytes, total });
    }
};
