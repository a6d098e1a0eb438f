import type { Argument, Command, Option } from 'commander';
import { exitCodeMeanings } from '../errors.js';
import { formatMeanings } from '../output/format.js';
import { jsonFieldSections } from './json-fields.js';

/** The command reference in Markdown, made from the definitions that parse the command line. */
export function referenceOf(program: Command): string {
  const sections = [
    '<!-- Made by cli/gen.sh from the command definitions; do not edit. -->',
    '# The `ringfence` command',
    program.description(),
    'Results go to standard output, notes and errors to standard error. An error says what was found and wanted, where, and the next step, with a stable code in brackets; with `-o json` it is one line of JSON on standard error.',
    '## Options of every command',
    options(program.options),
    'The context file is JSON: `address` (host:port of the admin API), `caFile`, `certFile`, `keyFile` (paths, relative to the file), `serverName`. The controller writes one to `<state dir>/operator/context.json`. Secrets are never arguments: tokens come from a file or standard input.',
    '## Output formats',
    table(
      ['format', 'what it is'],
      Object.entries(formatMeanings).map(([name, meaning]) => [`\`${name}\``, meaning]),
    ),
    'In JSON, field names are stable; lists are objects with one named array; enums are lower-case words (`would-block`, `implicit-deny`); addresses are text; times are RFC 3339 in UTC, null for never; 64-bit integers are numbers with all their digits. Lines of `flows tail` have a `type`: `flow`, `gap`, `synced`, `lost`, `back`, `summary`.',
    '### Fields',
    'Labels, metadata and counts by word are objects whose names are the dimensions, keys or words; examples stand for them here.',
    ...jsonFieldSections(),
    '## Exit codes',
    table(
      ['code', 'meaning'],
      exitCodeMeanings.map(([code, meaning]) => [String(code), meaning]),
    ),
    '## Commands',
    table(
      ['command', 'what it does'],
      leaves(program).map((command) => [`[\`${pathOf(command)}\`](#${anchor(command)})`, sentence(command)]),
    ),
    ...leaves(program).map(section),
  ];
  return `${sections.join('\n\n')}\n`;
}

/** Commands that do something: those without subcommands. */
function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

function section(command: Command): string {
  const args = command.registeredArguments.filter(({ description }) => description !== '');
  const parts = [`### ${pathOf(command)}`, command.description(), `\`\`\`\n${usage(command)}\n\`\`\``];
  if (args.length > 0)
    parts.push(
      table(
        ['argument', 'meaning'],
        args.map((argument) => [code(argument.name()), argumentText(argument)]),
      ),
    );
  if (command.options.length > 0) parts.push(options(command.options));
  return parts.join('\n\n');
}

function usage(command: Command): string {
  const options = command.options.length > 0 ? ' [options]' : '';
  const args = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? ` <${name}>` : ` [${name}]`;
  });
  return `${pathOf(command)}${options}${args.join('')}`;
}

function argumentText(argument: Argument): string {
  const choices = argument.argChoices === undefined ? '' : `: ${argument.argChoices.join(', ')}`;
  return `${argument.description}${choices}`;
}

function options(list: readonly Option[]): string {
  return table(
    ['option', 'meaning'],
    list.map((option) => [code(option.flags), optionText(option)]),
  );
}

function optionText(option: Option): string {
  const choices = option.argChoices === undefined ? '' : `: ${option.argChoices.join(', ')}`;
  const needed = option.mandatory && option.defaultValue === undefined ? ' (required)' : '';
  const value = option.defaultValueDescription ?? option.defaultValue;
  const shown = value !== undefined && typeof value !== 'boolean';
  return `${option.description}${choices}${needed}${shown ? ` (default: ${String(value)})` : ''}`;
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function anchor(command: Command): string {
  return pathOf(command).replaceAll(' ', '-');
}

function sentence(command: Command): string {
  return command.description().split(/\.(?:\s|$)/)[0] ?? '';
}

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  // Angle brackets outside of code would be read as HTML.
  const escaped = (cell: string) =>
    cell
      .replaceAll('|', '\\|')
      .split('`')
      .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '&lt;') : part))
      .join('`');
  const line = (cells: readonly string[]) => `| ${cells.map(escaped).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
