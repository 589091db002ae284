/** How a rank tells its test what it has. Not by printing: mpirun mixes what the ranks print. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";

export const report = (rank: number, value: unknown): void => {
  writeFileSync(join(process.env.ADAMAX_REPORTS!, `${rank}.json`), JSON.stringify(value));
};
