import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .command('list')
    .description('Destination mappings: who is behind which address and port.')
    .option('--source <source>', 'only what this source pushed')
    .action(app.action(async () => (await import('../actions/nat.js')).listNat));
  command
    .command('push <file>')
    .description('Make the mappings of one source what a YAML file says ("-": standard input). All or nothing.')
    .option('--source <source>', 'who pushes; overrides the file')
    .option('--prune', 'also remove mappings of this source that the file does not name')
    .action(app.action(async () => (await import('../actions/nat.js')).pushNat));
};
