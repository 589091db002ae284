// Prints "passed failed", summed over Vitest's JSON reports, then a line for each test that failed; fails when there is no report.
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const reports = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, "utf8")));
const sum = (name) => reports.reduce((total, report) => total + report[name], 0);
console.log(`${sum("numPassedTests")} ${sum("numFailedTests")}`);
for (const { name, message, assertionResults } of reports.flatMap(({ testResults }) => testResults)) {
  const file = relative(process.cwd(), name);
  const failed = assertionResults.filter(({ status }) => status === "failed");
  for (const { fullName, failureMessages } of failed) console.log(`${file} > ${fullName}: ${firstLine(failureMessages[0])}`);
  if (failed.length === 0 && message) console.log(`${file}: ${firstLine(message)}`);
}

function firstLine(text = "") {
  return text.split("\n", 1)[0];
}
