// Who may import whom. Reads every TypeScript source's import specifiers and reports each that crosses a boundary:
//  1 pure folders import only pure folders of their package and proto's value types: no grpc, native, fs, logger, clock, random;
//  2 only the agent's datapath, flow driver, nat, health and tests import native;
//  3 generated protobuf types stop at the edges;
//  4 controller and agent never import each other;
//  5 no import cycle between files, except of types only.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const pure = [
  'controller/src/policy',
  'controller/src/compile',
  'controller/src/topology',
  'controller/src/pairing',
  'controller/src/flows/stitch',
  'agent/src/desired',
];
/** What pure folders may use beside: shapes and nothing else. */
const pureFiles = ['controller/src/flows/block.js', 'controller/src/flows/true-source.js'];
// `ringfence reach` answers from files alone, without a controller: it alone may use the controller's pure policy code.
const offlineCommand = 'cli/src/actions/reach.ts';
const offlineCode = '@ringfence/controller/policy/';
const pureLibraries = new Set(['yaml', 'zod', 'fastbitset', 'tinyqueue', 'lru-cache', 'ipaddr.js']);
const nativeUsers = [
  'native/',
  'agent/src/nat/',
  'bpf/',
  'lab/',
  'bench/',
  'vm-tests/',
  'agent/src/datapath/',
  'agent/src/flows/',
  'agent/src/health/',
  'agent/src/main.ts',
];
const impure = [
  [/\bDate\.now\(|new Date\(\)|performance\.now\(/, 'reads the clock'],
  [/Math\.random\(|randomBytes|randomUUID/, 'draws random numbers'],
  [/\bconsole\./, 'prints'],
  [/\bprocess\.(env|argv)/, 'reads the process environment'],
];

const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.ts'], { encoding: 'utf8' })
  .split('\n')
  .filter((file) => file && existsSync(file) && !file.endsWith('.d.ts') && !file.includes('/dist/'));
const isTest = (file) => /\.test\.ts$|\/testing\/|\/tests\//.test(file);
const problems = [];
const graph = new Map();

function importsOf(text) {
  const found = [];
  const pattern = /(?:^|\n)\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\s+from\s+)?'([^']+)'|import\('([^']+)'\)/g;
  for (const match of text.matchAll(pattern)) found.push({ typeOnly: Boolean(match[1]), spec: match[2] ?? match[3] });
  return found;
}

for (const file of files) {
  const text = readFileSync(file, 'utf8');
  const imports = importsOf(text);
  const part = file.split('/')[0];
  const pureRoot = pure.find((folder) => file.startsWith(`${folder}/`));
  graph.set(
    file,
    imports
      .filter((i) => !i.typeOnly && i.spec.startsWith('.'))
      .map((i) => normalize(join(dirname(file), i.spec)).replace(/\.js$/, '.ts'))
      .filter((target) => existsSync(target)),
  );
  for (const { spec, typeOnly } of imports) {
    const complain = (why) => problems.push(`${file}: imports ${spec}: ${why}`);
    if (part === 'controller' && /^@ringfence\/(agent|native|bpf|cli)\b/.test(spec) && !isTest(file))
      complain('controller may not import it');
    if (part === 'agent' && /^@ringfence\/(controller|cli)\b/.test(spec) && !isTest(file))
      complain('agent may not import it');
    const offline = file === offlineCommand && spec.startsWith(offlineCode);
    if (part === 'cli' && /^@ringfence\/(controller|native|bpf)\b/.test(spec) && !isTest(file) && !offline)
      complain('cli talks to the controller, it does not import it');
    if (part === 'proto' && /^@ringfence\/(?!proto)/.test(spec)) complain('proto stands alone');
    if (
      /^@ringfence\/native/.test(spec) &&
      !typeOnly &&
      !isTest(file) &&
      !nativeUsers.some((user) => file.startsWith(user))
    )
      complain('only datapath, flows, nat and health use native');
    if (pureRoot && !isTest(file)) {
      if (spec.startsWith('node:')) complain(`${pureRoot} is pure`);
      else if (spec.startsWith('@ringfence/proto/gen/') && !typeOnly && !spec.endsWith('/common.js'))
        complain('generated messages stop at the edges');
      else if (spec.startsWith('.')) {
        const target = normalize(join(dirname(file), spec));
        const folder = pure.some((each) => target.startsWith(`${each}/`) && each.split('/')[0] === part);
        const inside = folder || (pureFiles.includes(target) && target.split('/')[0] === part);
        if (!inside) complain(`${pureRoot} imports only pure folders of its package`);
      } else if (!spec.startsWith('@ringfence/') && !pureLibraries.has(spec))
        complain(`${pureRoot} is pure; wanted one of ${[...pureLibraries].join(', ')}`);
    }
  }
  if (pureRoot && !isTest(file)) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    for (const [pattern, what] of impure)
      if (pattern.test(code)) problems.push(`${file}: ${what}; ${pureRoot} is pure`);
  }
}

const state = new Map();
function visit(file, trail) {
  if (state.get(file) === 'done') return;
  if (state.get(file) === 'open') {
    problems.push(`import cycle: ${[...trail.slice(trail.indexOf(file)), file].join(' -> ')}`);
    return;
  }
  state.set(file, 'open');
  for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
  state.set(file, 'done');
}
for (const file of graph.keys()) visit(file, []);

for (const problem of problems) console.error(problem);
console.error(`${files.length} files, ${problems.length} boundary problems`);
process.exit(problems.length > 0 ? 1 : 0);
