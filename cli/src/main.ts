import { homedir } from 'node:os';
import { ExitCode } from './errors.js';
import { type Io, readerGone } from './io.js';
import { run } from './run.js';

const interrupt = new AbortController();
let claimed = false;

// A reader that closes its pipe (`| head`) ends the output; that is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return interrupt.abort(readerGone);
    // A full disk, most likely. Results that are not whole must not look it.
    if (stream === process.stdout) {
      process.stderr.write(`error: Cannot write the results: ${error.message} [RF_CLI_OUTPUT]\n`);
    }
    process.exit(ExitCode.fault);
  });
}

for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  process.on(signal, () => {
    if (!claimed || interrupt.signal.aborted) process.exit(128 + number);
    interrupt.abort();
  });
}

/** The home directory; empty for a user that has none. */
function home(): string {
  try {
    return homedir();
  } catch {
    return '';
  }
}

const io: Io = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  home: home(),
  now: Date.now,
  interruption() {
    claimed = true;
    return interrupt.signal;
  },
};
const code = await run(process.argv.slice(2), io);
process.exitCode = code;
// gRPC leaves a connection open whose peer never answered; what is done ends when all of it is written, whatever is open.
setInterval(() => {
  if (process.stdout.writableLength + process.stderr.writableLength === 0) process.exit(code);
}, 100).unref();
