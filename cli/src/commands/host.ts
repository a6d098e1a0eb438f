import { Option } from 'commander';
import type { Define } from './groups.js';
import { confirmation } from './options.js';

export const define: Define = (command, app) => {
  const load = () => import('../actions/host.js');
  command
    .command('list')
    .description('All hosts and how each stands.')
    .action(app.action(async () => (await load()).listHosts));
  command
    .command('show <host>')
    .description('Everything about one host, by id or by a name that is unique.')
    .action(app.action(async () => (await load()).showHost));
  const loadTokens = () => import('../actions/token.js');
  const token = command.command('token').description('One-time tokens with which agents enrol.');
  token
    .command('create', { isDefault: true })
    .description('Make a token; it is shown once. Give it to `ringfence enroll` on the host.')
    .option('--ttl <duration>', 'how long it may be used: 30m, 12h, 7d', '1h')
    .option('--host-id <id>', 'id that the host must get; an existing one enrols again, its older certificates revoked')
    .option('--note <text>', 'why, for the list')
    .option('--out <file>', 'write the token to a new file (mode 0600) instead of standard output')
    .action(app.action(async () => (await loadTokens()).createToken));
  token
    .command('list')
    .description('Tokens that still could be used, without their secrets.')
    .action(app.action(async () => (await loadTokens()).listTokens));
  token
    .command('revoke <token-id>')
    .description('Make a token useless.')
    .action(app.action(async () => (await loadTokens()).revokeToken));
  command
    .command('revoke <host>')
    .description(
      'Revoke all certificates of a host: its streams end, it must enrol again; its kernel keeps its last policy.',
    )
    .option('--reason <text>', 'why, kept')
    .addOption(confirmation())
    .action(app.action(async () => (await load()).revokeHost));
  command
    .command('set <host>')
    .description('Change how a host is treated.')
    .addOption(
      new Option(
        '--unpaired <what>',
        'containers that are not paired: see them, cut them off, or what its profile or agent says again',
      )
        .choices(['visibility', 'isolate', 'default'])
        .makeOptionMandatory(),
    )
    .action(app.action(async () => (await load()).setHost));
  command
    .command('remove <host>')
    .description("Revoke a host's certificates and forget it with its workloads; its agent leaves the kernel as told.")
    .addOption(
      new Option('--leave <what>', 'the last good policy in force, everything open, or nothing in the kernel')
        .choices(['keep', 'open', 'remove'])
        .default('keep'),
    )
    .option('--reason <text>', 'why, kept')
    .addOption(confirmation())
    .action(app.action(async () => (await load()).removeHost));
};
