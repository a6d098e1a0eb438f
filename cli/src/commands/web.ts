import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  const load = () => import('../actions/web.js');
  command
    .command('link', { isDefault: true })
    .description(
      'A link that signs one browser in, once, as you. Whoever has it can act in your name: open it, do not pass it on.',
    )
    .option('--ttl <duration>', 'how long the link may be used: 5m, 1h', '5m')
    .action(app.action(async () => (await load()).createLink));
  command
    .command('sessions')
    .description('Browsers that are signed in.')
    .action(app.action(async () => (await load()).listSessions));
  command
    .command('end [session-id]')
    .description('Sign a browser out, by the id of its session; --all: every one.')
    .option('--all', 'every session')
    .action(app.action(async () => (await load()).endSessions));
};
