import { type CommandNode, type OptionNode, walk } from './tree.js';

/** A completion script for fish. */
export function fishScript(root: CommandNode): string {
  const lines = ['# fish completion of ringfence; made by `ringfence completion fish`', 'complete -c ringfence -f'];
  for (const { path, node } of walk(root)) {
    const condition = conditionOf(path, node);
    for (const child of node.children) {
      lines.push(`complete -c ringfence -n ${quote(condition)} -a ${quote(child.name)} -d ${quote(child.summary)}`);
    }
    if (node.children.length === 0 && node.choices.length > 0) {
      lines.push(`complete -c ringfence -n ${quote(condition)} -a ${quote(node.choices.join(' '))}`);
    }
    if (node.path) lines.push(`complete -c ringfence -n ${quote(condition)} -F`);
    for (const option of node.options) lines.push(optionLine(path.length === 0 ? undefined : condition, option));
  }
  return `${lines.join('\n')}\n`;
}

/** True where the command line leads to this command and no further. */
function conditionOf(path: readonly string[], node: CommandNode): string {
  const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`);
  const further = node.children.map(({ name }) => name).join(' ');
  const notFurther = further === '' ? [] : [`not __fish_seen_subcommand_from ${further}`];
  return [...seen, ...notFurther].join('; and ') || 'true';
}

function optionLine(condition: string | undefined, option: OptionNode): string {
  const names = option.names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  const where = condition === undefined ? '' : ` -n ${quote(condition)}`;
  // -x: a value and never a file; -r -F: a value that is a file.
  const value = !option.takesValue ? '' : option.path ? ' -r -F' : ' -x';
  const choices = option.choices.length > 0 ? ` -a ${quote(option.choices.join(' '))}` : '';
  return `complete -c ringfence${where} ${names.join(' ')}${value}${choices} -d ${quote(option.description)}`;
}

function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
