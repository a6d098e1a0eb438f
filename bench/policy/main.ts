// What one changed rule costs between its file and the compiler: reading the files as the controller does, and putting the policy in
// force. The trial compile of a provision (session/trial.ts) is not in it. Run by hand: `node bench/dist/policy/main.js [rules] [files] [--anew]`;
// --anew reads everything each time, as if nothing were known.
import { loadavg } from 'node:os';
import { PolicyFiles } from '@ringfence/controller/api/policy-files.js';
import { createCompiler } from '@ringfence/controller/compile/graph.js';
import { resolvePolicy } from '@ringfence/controller/policy/parse.js';

const anew = process.argv.includes('--anew');
const [rules = 10_000, files = 20] = process.argv.slice(2).map(Number).filter(Number.isFinite);
const ROUNDS = 30;
const ROLES = ['web', 'api', 'db', 'cache', 'queue', 'job', 'edge', 'mail'];

/** Rules in equal files; one port of the last file's first rule is `changed`. */
function written(changed: number) {
  const each = Math.ceil(rules / files);
  return Array.from({ length: files }, (_, file) => {
    const lines = Array.from({ length: each }, (_, at) => {
      const i = file * each + at;
      const port = file === files - 1 && at === 0 ? 1000 + changed : 1000 + (i % 50_000);
      const [by, of] = [ROLES[i % 8], ROLES[(i * 3 + 1) % 8]];
      return `  - { id: r${i}, service: [tcp/${port}], providedBy: { all: [app=app-${i % 500}, role=${of}] }, usedBy: role=${by}, same: [env] }`;
    });
    return { name: `f${String(file).padStart(4, '0')}.yaml`, content: `rules:\n${lines.join('\n')}\n` };
  });
}

const ids = new Map<string, number>();
const numbers = { numberOf: (id: string) => ids.get(id) ?? ids.set(id, ids.size + 1).size };
let classes = 0;
let identities = 0;
const compiler = createCompiler({
  identities: { numberOf: () => ++identities },
  classes: { numberOf: () => ++classes },
  quarantineMs: 0,
} as never);
let reader = new PolicyFiles();
const took: Record<string, number[]> = { read: [], resolve: [], 'in force': [] };
for (let round = 0; round <= ROUNDS; round += 1) {
  const asked = written(round);
  if (anew) reader = new PolicyFiles();
  const step = <T>(name: string, work: () => T): T => {
    const { user, system } = process.threadCpuUsage();
    const result = work();
    const now = process.threadCpuUsage();
    if (round > 0) took[name]?.push((now.user + now.system - user - system) / 1000);
    else
      process.stdout.write(`first time, ${name}: ${((now.user + now.system - user - system) / 1000).toFixed(0)} ms\n`);
    return result;
  };
  const { document, problems } = step('read', () => reader.read(asked));
  if (document === undefined) throw new Error(problems[0]?.message);
  const policy = step('resolve', () => resolvePolicy(document, numbers));
  step('in force', () => {
    compiler.setPolicy(policy, round + 1);
    compiler.flush();
  });
}
for (const [name, all] of Object.entries(took)) {
  const sorted = all.sort((a, b) => a - b);
  const at = (part: number) => (sorted[Math.floor(part * (sorted.length - 1))] ?? 0).toFixed(1);
  process.stdout.write(
    `${rules} rules in ${files} files, one changed, ${name}: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms of processor time (load ${loadavg()[0]?.toFixed(1)})\n`,
  );
}
