import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .command('list')
    .description('Identities in use: equal policy-relevant labels share one.')
    .action(app.action(async () => (await import('../actions/label-space.js')).listIdentities));
};
