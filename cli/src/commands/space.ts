import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .command('list')
    .description('Address spaces: declared ones, and the private networks that agents found.')
    .action(app.action(async () => (await import('../actions/space.js')).listSpaces));
  command
    .command('show <space>')
    .description('One space: who translates it, its mappings and published ports ("world": the routed world).')
    .action(app.action(async () => (await import('../actions/space.js')).showSpace));
  command
    .command('path <source> <destination>')
    .description('How a connection is translated on its way, and what the hosts at both ends see.')
    .option('--ipv6', 'only by IPv6')
    .option('--ipv4', 'only by IPv4')
    .action(app.action(async () => (await import('../actions/space.js')).showPath));
  command
    .command('apply')
    .description('Make the declared spaces what a YAML file says ("-": standard input). All or nothing.')
    .requiredOption('-f, --file <file>', 'the file')
    .option('--dry-run', 'check only')
    .action(app.action(async () => (await import('../actions/space.js')).applySpaces));
};
