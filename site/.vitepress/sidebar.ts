/** What the sidebars list. */

import { readdirSync } from "node:fs";
import type { DefaultTheme } from "vitepress";

type Items = DefaultTheme.SidebarItem[];

const page = (text: string, name: string) => ({ text, link: `/docs/${name}` });

export const guideSidebar: Items = [
  {
    text: "The optimizer",
    items: [
      { text: "Overview", link: "/README" },
      page("Arguments", "arguments"),
      page("Variables and methods", "methods"),
      page("The training loop", "training"),
    ],
  },
  {
    text: "With others",
    items: [
      page("TensorFlow.js", "tensorflow"),
      page("jax-js", "jax"),
      page("A GPU", "webgpu"),
      page("Many machines", "mesh"),
      page("Your own optimizer", "your-own-optimizer"),
    ],
  },
  {
    text: "Coming from",
    items: [
      page("Keras", "keras"),
      page("Keras in Python, line by line", "migrate-from-keras"),
      page("tf.train.adamax, line by line", "migrate-from-tfjs"),
      page("PyTorch and Optax", "other-adamax"),
    ],
  },
  {
    text: "Files",
    items: [page("Checkpoints", "checkpoints"), page("Files of Keras", "keras-files"), page("The command", "command")],
  },
  {
    text: "Background",
    items: [
      page("Numbers", "numbers"),
      page("Performance", "performance"),
      page("Speech study", "speech-study"),
      { text: "Benchmarks", link: "/bench/README" },
      { text: "Speech example", link: "/examples/speech/README" },
      { text: "Autoencoder example", link: "/examples/vae/README" },
      { text: "Contributing", link: "/CONTRIBUTING" },
      { text: "Changes", link: "/CHANGELOG" },
    ],
  },
];

const KINDS = ["classes", "functions", "interfaces", "type-aliases", "variables", "namespaces"];

/** The entries of the package, and what each exports. Read from the folder that TypeDoc wrote.
 *  @throws Error where it did not. */
export const apiSidebar = (folder: string): Items => [
  { text: "All entries", link: "/docs/api/" },
  ...entriesOf(folder).map(([entry, path]) => ({
    text: entry,
    link: `/docs/api/${path}/`,
    collapsed: entry !== "adamax",
    items: KINDS.flatMap((kind) => {
      const items = namesIn(`${folder}/${path}/${kind}`).map((name) => ({
        text: name,
        link: `/docs/api/${path}/${kind}/${kind === "namespaces" ? `${name}/` : name}`,
      }));
      return items.length === 0 ? [] : [{ text: titled(kind), collapsed: true, items }];
    }),
  })),
];

/** What is no entry of the package by the name of its folder. */
const NAMES: Readonly<Record<string, string>> = { index: "adamax", schedules: "adamax: schedules" };

const entriesOf = (folder: string): [entry: string, path: string][] => {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((one) => one.isDirectory())
      .map(({ name }): [string, string] => [NAMES[name] ?? `adamax/${name}`, name])
      .sort(([a], [b]) => a.localeCompare(b));
  } catch (cause) {
    throw new Error(`There is no API reference in ${folder}. Run npm run docs:api first; npm run site does.`, { cause });
  }
};

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder)
      .map((name) => name.replace(/\.md$/, ""))
      .sort((a, b) => a.localeCompare(b));
  } catch {
    return []; // an entry without exports of this kind
  }
};

const titled = (kind: string): string => `${kind[0]!.toUpperCase()}${kind.slice(1).replace("-", " ")}`;
