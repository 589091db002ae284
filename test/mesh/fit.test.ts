/** `fit` over real ranks. */

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
});
afterAll(() => programs.remove());

interface Report {
  readonly epochs: readonly Readonly<Record<string, number>>[];
  readonly stoppedBy: string | null;
  readonly error: string | null;
  readonly lines: number;
  readonly w: readonly number[];
  readonly iterations: number;
}
const run = async (scenario: string, size: number): Promise<Report[]> => {
  const outcome = await programs.run("fit", size, { args: [scenario] });
  expect(outcome).toMatchObject({ code: 0, complained: "", orphans: [] });
  return outcome.reports as Report[];
};

test("losses, metrics and early stopping are those of the whole batch, alike on every rank, also where one has no more data", async () => {
  const [alone] = (await programs.runAlone("fit", { args: ["whole"] })).reports as [Report];
  const reports = await run("whole", 3);
  for (const { lines, ...report } of reports) {
    expect({ ...report, lines: 0 }).toEqual({ ...reports[0], lines: 0 });
    expect(report.stoppedBy).toBe("callback");
    expect(report.epochs.length).toBe(alone.epochs.length);
    // A mean of means rounds otherwise; the validation of a rank is its part of one batch; the root of a mean is no mean of roots.
    for (const [i, epoch] of report.epochs.entries())
      for (const [name, value] of Object.entries(epoch))
        if (name !== "root" && name !== "valRoot") expect(value, `${name} of epoch ${i}`).toBeCloseTo(alone.epochs[i]![name]!, 9);
    for (const [k, value] of report.w.entries()) expect(value).toBeCloseTo(alone.w[k]!, 9);
  }
  expect(reports.map(({ lines }) => lines > 0)).toEqual([true, false, false]);
});

test.each(["stop", "signal"])("one rank stops (%s): all do, after the same batch", async (scenario) => {
  const reports = await run(scenario, 3);
  for (const report of reports) expect({ ...report, lines: 0 }).toEqual({ ...reports[0], lines: 0 });
  expect(reports[0]!.stoppedBy).toBe(scenario === "stop" ? "callback" : "signal");
  expect(reports[0]!.epochs.length).toBe(2);
});

test.each([
  ["loss throws", "RangeError: the loss of one rank"],
  ["data throws", "RangeError: no more data on this disk"],
  ["callback throws", "RangeError: a callback"],
])("%s on one rank: it is thrown there, and told on all others", async (scenario, message) => {
  const reports = await run(scenario, 3);
  expect(reports.map(({ error }) => error)).toEqual(
    reports.map((_, rank) =>
      rank === 1
        ? message
        : `BackendError: Rank 1 failed, and with it all ranks. Received: ${message}. Look there: the others would have waited for it.`,
    ),
  );
  expect(new Set(reports.map(({ iterations }) => iterations)).size).toBe(1);
});
