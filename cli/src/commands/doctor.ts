import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .option('--local', 'this machine only, no controller')
    .option('--remote', 'the connection and the controller only')
    .option('--state-dir <dir>', "the agent's stateDir", '/var/lib/ringfence/agent')
    .option('--pin-path <dir>', "the agent's pinPath", '/sys/fs/bpf/ringfence')
    .action(app.action(async () => (await import('../actions/doctor.js')).doctor));
};
