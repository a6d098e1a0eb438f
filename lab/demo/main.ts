// `make demo`: a story in throw-away namespaces. Two hosts, each with its own dockerd and containers, one plain host service,
// labels, a policy from YAML; real traffic, each attempt with expected and actual outcome. Exit code 1 if any line differs.
import { join } from 'node:path';
import { Fleet, policyFiles } from '../src/fleet.js';
import { repository } from '../src/paths.js';
import type { Server } from '../src/place.js';
import { until } from '../src/until.js';
import { changeThePolicy, killTheAgents } from './acts.js';
import { type Family, tryOnce } from './attempt.js';
import { flowHeader, foldFlows, unrecorded } from './flow-table.js';
import { RowPrinter } from './rows.js';
import { chapters, hosts, listeners, roles } from './story.js';

async function tell(fleet: Fleet, print: RowPrinter): Promise<boolean> {
  const servers = new Map<string, Server>();
  for (const [name, ports] of Object.entries(listeners)) servers.set(name, await fleet.place(name).serve(...ports));
  for (const role of roles) await fleet.label(role, { role, app: 'shop' });
  const files = policyFiles(join(repository, 'lab', 'demo', 'policy'));
  const { version, rules } = await fleet.provision(files);
  print.note(`labels set; policy version ${version} with ${rules} rules is in force on every host`);
  for (const { title, attempts } of chapters) {
    print.chapter(title);
    for (const attempt of attempts) {
      for (const family of ['ip4', 'ip6'] as const) print.row(await tryOnce(fleet, servers, attempt, family));
    }
  }
  const attempts = chapters.flatMap((c) => c.attempts);
  const addressOf = (name: string, family: Family) => fleet.place(name).addresses[family];
  const missingNow = async () => unrecorded(await fleet.api.flows(), attempts, addressOf);
  const missing = await until('flow records of every attempt', async () => (await missingNow()).length === 0, {
    timeoutMs: 10_000,
    intervalMs: 200,
  }).then(() => [], missingNow);
  await killTheAgents(fleet, print);
  await changeThePolicy(fleet, servers, files, print);
  print.chapter('What the controller knows of it: flow records, folded');
  print.table(flowHeader, foldFlows(await fleet.api.flows()));
  print.row({
    what: 'attempts with a flow record of their verdict',
    expected: `${attempts.length * 2} of ${attempts.length * 2}`,
    actual: `${attempts.length * 2 - missing.length} of ${attempts.length * 2}`,
    ok: missing.length === 0,
  });
  for (const attempt of missing) print.note(`no record: ${attempt}`);
  return print.finish();
}

const print = new RowPrinter((line) => process.stdout.write(`${line}\n`), process.stdout.isTTY === true);
print.note('starting two hosts (alpha, beta) with dockerd, a controller and two agents in namespaces of their own …');
const fleet = await Fleet.start(hosts);
// Ctrl-C ends the story, not the cleaning up.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted = true;
    void fleet.close().then(() => process.exit(130));
  });
}
try {
  process.exitCode = (await tell(fleet, print)) ? 0 : 1;
} catch (error) {
  if (!interrupted) {
    process.exitCode = 1;
    process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
    for (const { agent } of fleet.members.values())
      process.stderr.write(`\n${agent.host.name}: ${agent.log.slice(-3000)}\n`);
    process.stderr.write(`\ncontroller: ${fleet.controller.log.slice(-3000)}\n`);
  }
} finally {
  if (!interrupted) await fleet.close();
}
