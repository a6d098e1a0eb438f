import { Option } from 'commander';
import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .argument('<source>', 'workload (id, <host>/<name>, unique name), address, or labels: role=web,env=prod')
    .argument('<destination>', 'the same')
    .argument('<service>', 'tcp/443 or 443/tcp, icmp/8, protocol/47')
    .option('--draft', 'ask the draft instead of the version in force')
    .addOption(
      new Option('--expect <verdict>', 'exit code 1 unless this is the verdict').choices([
        'allowed',
        'blocked',
        'would-block',
      ]),
    )
    .action(app.action(async () => (await import('../actions/explain.js')).explain));
};
