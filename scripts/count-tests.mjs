// Prints "passed failed" from Vitest's JSON report; fails when there is none.
import { readFileSync } from "node:fs";

const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(process.argv[2], "utf8"));
console.log(`${numPassedTests} ${numFailedTests}`);
