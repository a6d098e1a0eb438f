import { Option } from 'commander';
import { selectorSyntax } from '../filter/selector-syntax.js';
import type { Define } from './groups.js';
import { confirmation, repeatable } from './options.js';

export const defineProfile: Define = (command, app) => {
  const load = () => import('../actions/profile.js');
  const create = command
    .command('create <name>')
    .description(
      'Make a profile: what workloads become that present a key of it. Dimensions not named stay without label.',
    );
  const update = command
    .command('update <profile>')
    .description('Change a profile; what is not named stays. Workloads that were denied by it are decided again.');
  for (const one of [create, update]) {
    one
      .addOption(repeatable('--lock <dimension=value>', 'gives this label whatever is asked for'))
      .addOption(repeatable('--default <dimension=value>', 'gives this label unless another value is asked for'))
      .addOption(
        repeatable('--allow <dimension=values>', 'may ask for one of these values: role=web|cache; role alone: any'),
      )
      .addOption(new Option('--mode <mode>', 'mode that it starts in').choices(['visibility', 'test', 'enforce']))
      .option('--lifespan <duration>', 'keys end so long after they are made: 12h, 30d; "none" for never')
      .option('--max-uses <n>', 'workloads that one key may pair; "none" for no limit')
      .addOption(
        new Option('--on-conflict <what>', 'what asking for another label than permitted gets').choices([
          'profile-value',
          'deny',
        ]),
      )
      .addOption(repeatable('--source <prefix>', 'only hosts that connect from here'))
      .addOption(
        new Option(
          '--host-unpaired <what>',
          'what hosts that enrol by its keys do to containers that are not paired; "default": as their agents are configured',
        ).choices(['visibility', 'isolate', 'default']),
      )
      .option('--owner <text>', 'who answers for it')
      .option('--note <text>', 'what it is for');
  }
  create.action(app.action(async () => (await load()).createProfile));
  update
    .addOption(repeatable('--drop <dimension>', 'no longer say anything of this dimension'))
    .option('--any-source', 'hosts may connect from anywhere again')
    .option('--enable', 'let its keys pair again')
    .option('--disable', 'let its keys pair nothing; what is paired stays')
    .action(app.action(async () => (await load()).updateProfile));
  command
    .command('list')
    .description('All profiles.')
    .action(app.action(async () => (await load()).listProfiles));
  command
    .command('show <profile>')
    .description('Everything about one profile, by name or id.')
    .action(app.action(async () => (await load()).showProfile));
  command
    .command('delete <profile>')
    .description('Delete a profile and its keys. Refused while they have paired something that is still paired.')
    .addOption(confirmation())
    .action(app.action(async () => (await load()).deleteProfile));
};

export const defineKey: Define = (command, app) => {
  const load = () => import('../actions/key.js');
  command
    .command('create <profile>')
    .description('Make a key of a profile; it is shown once. Containers carry it as label ringfence.pairing-key.')
    .option('--note <text>', 'why, for the list')
    .option('--for-hosts', 'with the fingerprint of the controller, for `ringfence enroll --key-file`')
    .option('--out <file>', 'write the key to a new file (mode 0600) instead of standard output')
    .action(app.action(async () => (await load()).createKey));
  command
    .command('list [profile]')
    .description('Keys that can pair, without their secrets; of one profile, or of all.')
    .option('--all', 'also those that can pair nothing more')
    .action(app.action(async () => (await load()).listKeys));
  command
    .command('revoke <key-id>')
    .description('Make a key pair nothing more, and do as asked with everything that it has paired, in one step.')
    .option('--list', 'only tell what it has paired; change nothing')
    .option('--quarantine', 'cut off what it has paired but for the failsafes; `quarantine release` lets it back')
    .option('--unpair', 'take labels and pairing off what it has paired; it is denied from then on')
    .option('--reason <text>', 'why, kept')
    .addOption(confirmation())
    .action(app.action(async () => (await load()).revokeKey));
  command
    .command('history <key-id>')
    .description('Every use of a key: when, which host, which workload, with which result.')
    .option('-n, --limit <n>', 'at most so many', '100')
    .action(app.action(async () => (await load()).keyHistory));
};

export const definePairing: Define = (command, app) => {
  const load = () => import('../actions/pairing.js');
  command
    .command('list')
    .description('What was paired, and what was denied and why.')
    .option('--key-id <id>', 'by this key')
    .option('--host <host>', 'on this host, by id')
    .option('--denied', 'denied ones only')
    .action(app.action(async () => (await load()).listPairings));
};

export const defineQuarantine: Define = (command, app) => {
  const load = () => import('../actions/quarantine.js');
  command
    .command('add [workloads...]')
    .description('Cut workloads off but for the failsafes: by name, by label, or all that a key has paired.')
    .addOption(repeatable('-l, --label <selector>', `whatever matches, now and later: ${selectorSyntax}`))
    .option('--key-id <id>', 'whatever this key has paired or pairs')
    .option('--preview', 'only tell what would be held; change nothing')
    .option('--reason <text>', 'why, kept')
    .addOption(confirmation())
    .action(app.action(async () => (await load()).addQuarantine));
  command
    .command('list')
    .description('Quarantines that hold.')
    .action(app.action(async () => (await load()).listQuarantines));
  command
    .command('release <id>')
    .description('End a quarantine: what it held is treated as policy says again.')
    .action(app.action(async () => (await load()).releaseQuarantine));
};
