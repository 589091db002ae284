/** A job tells a pass where to work: places of its words (32 bits each), `import * as JOB`. */

/** Which pass: class * passes + pass. */
export const callee = 0;
export const length = 1;
export const constants = 2;
export const sums = 3;
/** The first of one pointer per array of the program. */
export const arrays = 4;
