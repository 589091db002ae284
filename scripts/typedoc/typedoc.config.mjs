/** The API reference, as Markdown: every entry of the package. */

import { readFileSync } from "node:fs";

const { exports } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

/** Without workers, which export nothing, and "./tfjs/core", which is a part of "./tfjs". */
const entries = Object.values(exports).flatMap((entry) => {
  const [, folder] = /^\.\/dist\/(.*)index\.js$/.exec(entry.default ?? "") ?? [];
  return folder === undefined || folder.endsWith("core/") ? [] : `../../src/${folder}index.ts`;
});

export default {
  entryPoints: [...entries, "../../src/schedules/index.ts"], // which the core gives as an object, `schedules`
  tsconfig: "../../tsconfig.build.json",
  plugin: ["typedoc-plugin-markdown"],
  out: "../../docs/api",
  entryFileName: "index",
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  expandObjects: false,
  parametersFormat: "table",
  interfacePropertiesFormat: "table",
  typeAliasPropertiesFormat: "table",
  readme: "none",
  name: "adamax",
  disableSources: true,
  excludeInternal: true,
  excludePrivate: true,
  validation: { notExported: false, invalidLink: true, notDocumented: true },
  requiredToBeDocumented: ["Class", "Interface", "TypeAlias", "Variable"],
  treatValidationWarningsAsErrors: true,
};
