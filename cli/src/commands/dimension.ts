import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .command('list')
    .description('Dimensions, the values in use, and the values that policy permits.')
    .action(app.action(async () => (await import('../actions/label-space.js')).listDimensions));
};
