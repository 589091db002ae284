/** The projects of docs/bundlers.md as files. */

import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pack } from "../cli/adamax.js";

const HERE = import.meta.dirname;

/** A section of the page: files, and commands to run in their folder. */
export interface Project {
  readonly files: ReadonlyMap<string, string>;
  readonly commands: readonly string[];
}

const asText = (page: string): string => readFileSync(page, "utf8");

/** Sections with blocks that name a file (```js main.js), and ```sh blocks, by their headings. Files before the first heading are in all of them. */
export const projectsOf = (page: string): Map<string, Project> => {
  const [before, ...sections] = asText(page).split(/^## /m);
  const filesIn = (text: string) =>
    [...text.matchAll(/^```(?:\w+) (\S+\.\w+)\n([\s\S]*?)^```$/gm)].map(([, name, content]) => [name!, content!] as const);
  const common = filesIn(before!);
  return new Map(
    sections.map((text) => {
      const commands = [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, command]) => command!.trim());
      return [text.split("\n")[0]!, { files: new Map([...common, ...filesIn(text)]), commands }];
    }),
  );
};

/** A folder with the bundlers of test/bundlers/package.json and the package as it would be published, and nothing else. The bundlers are installed once for a
 *  lock file. */
export const workshop = (): string => {
  const lock = readFileSync(join(HERE, "package-lock.json"));
  const folder = join(tmpdir(), `adamax-bundlers-${createHash("sha256").update(lock).digest("hex").slice(0, 12)}`);
  const done = join(folder, "installed");
  if (!existsSync(done)) {
    mkdirSync(folder, { recursive: true });
    for (const name of ["package.json", "package-lock.json"]) cpSync(join(HERE, name), join(folder, name));
    execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--silent"], { cwd: folder });
    writeFileSync(done, "");
  }
  const tarball = pack();
  const target = join(folder, "node_modules/adamax");
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", target]);
  rmSync(dirname(tarball), { recursive: true });
  return folder;
};

/** Writes a project to a folder of its own in the workshop. */
export const writeProject = (shop: string, name: string, { files }: Project): string => {
  const folder = join(shop, name.replace(/\W/g, "-").toLowerCase());
  rmSync(folder, { recursive: true, force: true });
  for (const [path, content] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
};

/** As `npx` and npm scripts do: the programs that are installed are found by name. */
export const environment = (shop: string): NodeJS.ProcessEnv => {
  const { NODE_ENV: _, VITEST: __, ...rest } = process.env; // Vitest's own
  return {
    ...rest,
    PATH: `${join(shop, "node_modules/.bin")}:${process.env.PATH}`,
    NEXT_TELEMETRY_DISABLED: "1",
    npm_config_offline: "true",
  };
};

/** @throws Error with what was printed, when the command fails. */
export const run = (command: string, folder: string, env: NodeJS.ProcessEnv): Promise<string> =>
  new Promise((done, failed) => {
    execFile("bash", ["-ec", command.replaceAll("npx ", "")], { cwd: folder, env }, (error, printed, complained) =>
      error ? failed(new Error(`${command}: ${error.message}\n${printed}${complained}`)) : done(printed + complained),
    );
  });
