import { Command, InvalidArgumentError, Option } from 'commander';
import type { App } from './app.js';
import { groups } from './commands/groups.js';
import { timeoutDefaultSeconds } from './invocation.js';
import { formats } from './output/format.js';

/** Reads a number of seconds from 1 to a day. */
function seconds(text: string): number {
  const value = /^\d{1,5}(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (value > 0 && value <= 86_400) return value;
  throw new InvalidArgumentError('Wanted seconds, above 0 and up to 86400.');
}

/**
 * The command line. Commands at the top level begin as name and summary; the definition of one is loaded just before commander
 * looks at its arguments, so that starting costs the same however many commands there are.
 */
export function buildProgram(app: App): Command {
  const program = new Command('ringfence');
  program
    .description('Label-identity micro-segmentation: inventory, policy and live flows of a fleet.')
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => app.io.stdout.write(text),
      writeErr: (text) => app.io.stderr.write(text),
      // Errors are told by run(), once and in the shape of all errors.
      outputError: () => {},
      getOutHelpWidth: () => app.io.stdout.columns ?? 100,
      getErrHelpWidth: () => app.io.stderr.columns ?? 100,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addOption(new Option('-o, --output <format>', 'how results are written').choices([...formats]).default('table'))
    .addOption(
      new Option('--context <file>', 'how to reach the controller, and as whom').default(
        undefined,
        '$RINGFENCE_CONTEXT, ~/.config/ringfence/context.json, /etc/ringfence/context.json',
      ),
    )
    .addOption(
      new Option('--timeout <seconds>', 'wait this long for one answer')
        .argParser(seconds)
        .default(timeoutDefaultSeconds),
    )
    .option('--no-color', 'no colour, also where the output is a terminal (NO_COLOR does the same)')
    .option('--wide', 'never cut cells to the width of the terminal');
  program.helpCommand('help [command]', 'help for a command');
  program.helpOption('-h, --help', 'help for the command');

  const pending = new Map<Command, (typeof groups)[number]>();
  for (const group of groups)
    pending.set(
      program
        .command(group.name)
        .summary(group.summary)
        .description(`${group.summary[0]?.toUpperCase()}${group.summary.slice(1)}.`),
      group,
    );
  program.hook('preSubcommand', async (_program, command) => {
    await fill(command);
  });

  async function fill(command: Command): Promise<void> {
    const group = pending.get(command);
    if (group === undefined) return;
    pending.delete(command);
    (await group.load())(command, app);
  }
  app.definitions = async () => {
    for (const command of program.commands) await fill(command);
    return program;
  };
  return program;
}
