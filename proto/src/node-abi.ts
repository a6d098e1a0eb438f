// Imported before anything else by what loads compiled modules: those of another Node end the process with a segmentation fault.
import { readFileSync } from 'node:fs';

/** Written by tools/build.sh: process.versions.modules of the Node that everything was installed and built with. */
const FILE = new URL('./node-abi', import.meta.url);

/** What is wrong with running under this Node, as a whole message; undefined when it is the one (or nobody knows). */
export function abiProblem(version: string, abi: string, builtFor: string | undefined): string | undefined {
  if (builtFor === undefined || builtFor === abi) return undefined;
  const found = `found Node ${version}, which loads modules of ABI ${abi}, wanted one of ABI ${builtFor}, as this was built with`;
  return `RF_NODE: Cannot start: ${found}. Next: PATH=$(cat .tools/node-bin):$PATH in the folder of the build, or build again with this Node\n`;
}

function builtFor(): string | undefined {
  try {
    return readFileSync(FILE, 'utf8').trim();
  } catch {
    return undefined; // run from sources
  }
}

const problem = abiProblem(process.version, process.versions.modules, builtFor());
if (problem !== undefined) {
  process.stderr.write(problem);
  process.exit(1);
}
