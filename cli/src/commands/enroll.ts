import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .requiredOption('--controller <host:port>', "address of the controller's enrolment service")
    .option(
      '--token-file <file>',
      'the one-time token ("-": standard input); never an argument, where every process could read it',
      '-',
    )
    .option('--key-file <file>', 'a pairing key made with --for-hosts, instead of a token; its profile labels the host')
    .option('--state-dir <dir>', "where key and certificates go: the agent's stateDir", '/var/lib/ringfence/agent')
    .action(app.action(async () => (await import('../actions/enroll.js')).enroll));
};
