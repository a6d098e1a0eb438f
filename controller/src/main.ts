// The controller process: reads argv and the environment, starts everything, stops on SIGTERM and SIGINT.
// Exit codes: 0 stopped as asked; 1 could not start; 2 wrong command line.
import '@ringfence/proto/node-abi.js';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { destination, pino } from 'pino';
import { ConfigError, type ControllerConfig, readConfig, USAGE } from './config.js';
import { startController } from './controller.js';

const config = configOrExit();
const log = pino({ level: config.logLevel, base: { part: 'controller' } }, destination({ dest: 2, sync: true }));

try {
  if (config.readyFile !== undefined) rmSync(config.readyFile, { force: true });
  const controller = await startController(config, log, Date.now);
  if (config.readyFile !== undefined) writeReady(config.readyFile, controller.addresses);
  const stop = (signal: string) => {
    log.info({ signal }, 'stopping');
    controller.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'could not stop cleanly');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
} catch (error) {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'RF_START';
  log.fatal({ err: error, code }, 'the controller could not start');
  process.stderr.write(`${code}: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

function configOrExit(): ControllerConfig {
  const argv = process.argv.slice(2);
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(USAGE);
    process.exit(0);
  }
  try {
    return readConfig(argv, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n\n${USAGE}`);
    process.exit(2);
  }
}

/** Whole or not there, so that a waiting reader never sees half of it. */
function writeReady(file: string, addresses: object): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(addresses)}\n`);
  renameSync(`${file}.new`, file);
}
