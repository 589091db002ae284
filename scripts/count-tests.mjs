// Prints "passed failed", summed over Vitest's JSON reports; fails when there is none.
import { readFileSync } from "node:fs";

const reports = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, "utf8")));
const sum = (name) => reports.reduce((total, report) => total + report[name], 0);
console.log(`${sum("numPassedTests")} ${sum("numFailedTests")}`);
