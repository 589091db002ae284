/** Two hosts as network namespaces: what they have in common is a cable. As root, where the system lets it. */

import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ip = (...parts: string[]) => execFileSync("ip", parts, { stdio: ["ignore", "ignore", "pipe"] });

export class TwoHosts {
  readonly #names: readonly [string, string];
  readonly #cable: readonly [string, string];
  readonly #folder = mkdtempSync(join(tmpdir(), "adamax-mesh-hosts-"));
  readonly #net: string;

  /** @throws Error where the system does not let it. */
  constructor() {
    const id = process.pid % 10_000;
    this.#names = [`adamax${id}a`, `adamax${id}b`];
    this.#cable = [`ax${id}a`, `ax${id}b`];
    this.#net = `10.77.${id % 250}`;
    try {
      for (const name of this.#names) ip("netns", "add", name);
      ip("link", "add", this.#cable[0], "type", "veth", "peer", "name", this.#cable[1]);
      for (const i of [0, 1] as const) {
        ip("link", "set", this.#cable[i], "netns", this.#names[i]);
        for (const link of [this.#cable[i], "lo"]) this.#inside(i, "ip", "link", "set", link, "up");
        this.#inside(i, "ip", "addr", "add", `${this.#net}.${i + 1}/24`, "dev", this.#cable[i]);
      }
    } catch (error) {
      this.remove();
      throw error;
    }
    // In the place of ssh: enters the namespace of the host that is named first.
    writeFileSync(
      join(this.#folder, "enter"),
      `#!/bin/bash\nhost="$1"; shift\ncase "$host" in *.1) ns=${this.#names[0]};; *) ns=${this.#names[1]};; esac\nexec ip netns exec "$ns" bash -c "$*"\n`,
    );
    chmodSync(join(this.#folder, "enter"), 0o755);
  }

  #inside(host: 0 | 1, ...command: string[]) {
    return execFileSync("ip", ["netns", "exec", this.#names[host], ...command], { stdio: ["ignore", "ignore", "pipe"] });
  }

  /** Starts one rank on each, by Open MPI. What follows is the program. */
  get launcher(): string[] {
    const [a, b] = [`${this.#net}.1`, `${this.#net}.2`];
    const mca = (name: string, value: string) => ["--mca", name, value];
    return [
      ...["ip", "netns", "exec", this.#names[0], "mpirun.openmpi", "--allow-run-as-root"],
      ...["--host", `${a}:1,${b}:1`, "-n", "2", "--bind-to", "none"],
      ...mca("plm_rsh_agent", join(this.#folder, "enter")),
      ...mca("btl", "tcp,self"),
      ...mca("btl_tcp_if_include", `${this.#net}.0/24`),
      ...mca("oob_tcp_if_include", `${this.#net}.0/24`),
    ];
  }

  pullCable(): void {
    this.#inside(0, "ip", "link", "set", this.#cable[0], "down");
  }

  /** Ends what is left in them (a pulled cable leaves Open MPI's daemon behind), and takes them away. */
  remove(): void {
    for (const name of this.#names)
      try {
        for (const pid of execFileSync("ip", ["netns", "pids", name], { encoding: "utf8" }).split(/\s+/).filter(Boolean))
          process.kill(Number(pid), "SIGKILL");
        ip("netns", "delete", name);
      } catch {
        // it was not made
      }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
