import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .option('--check', 'exit code 1 when any warning or alarm stands')
    .action(app.action(async () => (await import('../actions/status.js')).status));
};
