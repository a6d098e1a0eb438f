import { Argument } from 'commander';
import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .command('status')
    .description('How in-band tags stand, and what became of them on each host since its kernel tables were made.')
    .action(app.action(async () => (await import('../actions/tag.js')).tagStatus));
  command
    .command('set')
    .description('Which SYNs are given a tag: none; those to hosts with an agent; all.')
    .addArgument(new Argument('<mode>', 'the switch').choices(['off', 'peers', 'anywhere']))
    .action(app.action(async () => (await import('../actions/tag.js')).setTags));
  command
    .command('rotate')
    .description('Begin a new key in half a minute, before its time: after a host that knew the keys was lost.')
    .action(app.action(async () => (await import('../actions/tag.js')).rotateTags));
};
