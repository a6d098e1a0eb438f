import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command.action(app.action(async () => (await import('../actions/version.js')).version));
};
