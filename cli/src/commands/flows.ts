import { type Command, Option } from 'commander';
import { listLimitDefault } from '../filter/list-limit.js';
import { selectorSyntax } from '../filter/selector-syntax.js';
import type { Define } from './groups.js';
import { repeatable } from './options.js';

/** Words of the enums, spelt out here so that help and completion load no generated code; a test compares them. */
export const verdicts = ['allowed', 'blocked', 'would-block'];
export const modes = ['visibility', 'test', 'enforce'];
export const directions = ['inbound', 'outbound'];

function filters(command: Command): Command {
  for (const [prefix, which] of [
    ['', 'one end'],
    ['src-', 'the source'],
    ['dst-', 'the destination'],
  ] as const) {
    const said = prefix === '' ? `, on ${which}: ${selectorSyntax}` : `, on ${which}`;
    command
      .addOption(
        repeatable(
          prefix === '' ? '-l, --label <selector>' : `--${prefix}label <selector>`,
          `labels at the time${said}`,
        ),
      )
      .addOption(repeatable(`--${prefix}workload <workload>`, `workload id or name, ${which}`))
      .addOption(repeatable(`--${prefix}address <cidr>`, `address or CIDR, ${which}`))
      .addOption(repeatable(`--${prefix}host <host>`, `host that runs the workload, ${which}`));
  }
  return command
    .addOption(repeatable('-p, --port <ports>', 'service port or range: 443, 8000-8080'))
    .addOption(repeatable('--src-port <ports>', "the source's own port or range"))
    .addOption(repeatable('--protocol <protocol>', 'tcp, udp, icmp, icmpv6, sctp ... or a number'))
    .addOption(repeatable('--verdict <verdict>', `${verdicts.join(', ')}`))
    .option('--denied', 'what was blocked or would be')
    .addOption(repeatable('--reason <reason>', 'rule-allow, rule-deny, implicit-deny, isolated, revoked ...'))
    .addOption(repeatable('--process <name>', 'process at the reporting end'))
    .addOption(repeatable('--rule <rule>', 'deciding rule by id or number; "none" for no rule'))
    .addOption(repeatable('--mode <mode>', `mode in force: ${modes.join(', ')}`))
    .addOption(repeatable('--direction <direction>', `reporting end: ${directions.join(', ')}`))
    .addOption(repeatable('--kind <kind>', 'newest event: new, verdict, update, end, deny'))
    .addOption(repeatable('--reporter <host>', 'host that reported it, by id or name'))
    .option('--since <time>', 'last packet at or after: 15m, 2h, 08:30, 2026-03-01T08:30')
    .option('--until <time>', 'first packet before');
}

export const define: Define = (command, app) => {
  command.addHelpText(
    'after',
    '\nOptions given together must all hold; values of one option: one must. --label, --workload, --address and --host speak of one\nand the same end. Values may also stand between commas.',
  );
  filters(command.command('tail').description('Flows as they happen, one line each. Ctrl-C ends with a summary.'))
    .option('--last <n>', 'first the newest kept flows, so many')
    .option('-n, --limit <n>', 'end after so many flows')
    .option('--sample <n>', 'one in this many')
    .addOption(repeatable('--fields <names>', 'only these fields, named as in -o json: verdict,source.workload,rule'))
    .option('--buffer <n>', 'flows that may wait in the controller for a slow reader')
    .option('--no-reconnect', 'end with exit code 3 when the connection is lost')
    .addOption(new Option('--quiet', 'no summary, no notices'))
    .action(app.action(async () => (await import('../actions/flows-tail.js')).tailFlows));
  filters(command.command('list').description('Kept flows, oldest first: the newest that match.'))
    .option('-n, --limit <n>', 'at most so many', listLimitDefault)
    .action(app.action(async () => (await import('../actions/flows-list.js')).listFlows));
  filters(
    command
      .command('graph')
      .description(
        'Who talks to whom, by groups of workloads: kept flows as nodes and directed edges, most bytes first.',
      ),
  )
    .addOption(
      repeatable('--group-by <dimensions>', 'dimensions of a node, or workload, host, process; default role,app'),
    )
    .option('--min-bytes <n>', 'only edges with so many bytes, both ways', '0')
    .option('--min-count <n>', 'only edges that were seen so often', '0')
    .option('--min-duration <seconds>', 'only edges whose connections lasted so long, all together', '0')
    .option('-n, --limit <n>', 'edges at most', '1000')
    .action(app.action(async () => (await import('../actions/flows-graph.js')).graphFlows));
  command
    .command('backup')
    .description("A copy of the flow store in a new file on the controller's machine.")
    .argument('<file>', "absolute path on the controller's machine")
    .action(app.action(async () => (await import('../actions/flows-graph.js')).backupFlows));
};
