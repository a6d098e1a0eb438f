import { timeSyntax } from '../filter/time.js';
import type { Define } from './groups.js';
import { repeatable } from './options.js';

export const define: Define = (command, app) => {
  const load = () => import('../actions/audit.js');
  const list = command.command('list').description('Entries of the audit log, newest first.');
  const tail = command.command('tail').description('The newest entries, then every further one as it is written.');
  for (const one of [list, tail]) {
    one
      .addOption(repeatable('--action <action>', 'of this action, or of a family such as "pairing."'))
      .option('--actor <name>', 'by this operator, or by "host:<id>" for what an agent reported')
      .option('--object <id>', 'about this workload, key, profile, host, token or version, by id')
      .option('--host <host>', 'about this host, by id')
      .option('--key-id <id>', 'about this pairing key')
      .option('--since <time>', timeSyntax);
  }
  list.option('-n, --limit <n>', 'at most so many', '100').action(app.action(async () => (await load()).listAudit));
  tail.option('-n, --backlog <n>', 'begin with so many', '10').action(app.action(async () => (await load()).tailAudit));
};
