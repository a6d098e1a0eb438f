import { type Command, CommanderError } from 'commander';
import { App } from './app.js';
import { CliError, ExitCode } from './errors.js';
import { type Io, write } from './io.js';
import { asCliError, failureJson, renderFailure } from './output/failure.js';
import { buildProgram } from './program.js';
import { jsonLine } from './text/json.js';
import { chooseStyle } from './text/style.js';

/** Runs one command line (without node and script) to its exit code. Tells every failure on standard error; never throws. */
export async function run(args: readonly string[], io: Io): Promise<ExitCode> {
  // What most programs understand; as a global option it would hide `--version N` of the policy commands.
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) return run(['version'], io);
  // `help host list` is `host list --help`: commander's own help command would not load definitions first.
  if (args[0] === 'help' && args.length > 1) return run([...args.slice(1), '--help'], io);
  const app = new App(io);
  const program = buildProgram(app);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return app.exit;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0 && error.code !== 'commander.help') return ExitCode.ok;
      if (error.code === 'commander.help') return ExitCode.usage;
      return tell(usageFailure(error, program, args), io, args);
    }
    return tell(asCliError(error), io, args);
  }
}

/** What commander refused, in the shape of all errors. */
function usageFailure(error: CommanderError, program: Command, args: readonly string[]): CliError {
  const path = ['ringfence', ...commandPath(program, args)];
  const [problem = '', ...hints] = error.message.replace(/^error: /, '').split('\n');
  return new CliError({
    code: 'RF_CLI_USAGE',
    what: `Cannot run ${path.join(' ')}`,
    found: [problem, ...hints].map((line) => line.trim()).join(' '),
    next: `${path.join(' ')} --help`,
    exit: ExitCode.usage,
    cause: error,
  });
}

/** The names of the commands that the arguments lead to, as far as they are known. */
function commandPath(program: Command, args: readonly string[]): string[] {
  const path: string[] = [];
  let command = program;
  for (const arg of args) {
    const next = command.commands.find((candidate) => candidate.name() === arg || candidate.aliases().includes(arg));
    if (next === undefined) continue;
    path.push(next.name());
    command = next;
  }
  return path;
}

/** For programs the error is one line of JSON, for people it is coloured where the terminal allows. */
async function tell(error: CliError, io: Io, args: readonly string[]): Promise<ExitCode> {
  const forPrograms = args.some(
    (arg, index) =>
      /^(-o|--output=)?jsonl?$/.test(arg) && (arg.startsWith('-') || /^(-o|--output)$/.test(args[index - 1] ?? '')),
  );
  const style = chooseStyle(io.stderr.isTTY === true, io.env, !args.includes('--no-color'));
  await write(io.stderr, forPrograms ? `${jsonLine(failureJson(error))}\n` : renderFailure(error, style));
  if (io.env.RINGFENCE_DEBUG && error.cause instanceof Error) await write(io.stderr, `${error.cause.stack}\n`);
  return error.exit;
}
