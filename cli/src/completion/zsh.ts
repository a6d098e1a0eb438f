import { type CommandNode, type OptionNode, walk } from './tree.js';

/** A completion script for zsh: one function for each command. */
export function zshScript(root: CommandNode): string {
  const functions = walk(root).map(({ path, node }) => commandFunction(path, node, root));
  return `#compdef ringfence
# zsh completion of ringfence; made by \`ringfence completion zsh\`
${functions.join('\n')}
if [ "$funcstack[1]" = "_ringfence" ]; then _ringfence "$@"; else compdef _ringfence ringfence; fi
`;
}

function functionName(path: readonly string[]): string {
  return ['_ringfence', ...path].join('_').replaceAll('-', '_');
}

function commandFunction(path: readonly string[], node: CommandNode, root: CommandNode): string {
  const options = [...node.options, ...(node === root ? [] : root.options)].flatMap(optionSpecs);
  const name = functionName(path);
  if (node.children.length === 0) {
    const values =
      node.choices.length > 0 ? `:value:(${node.choices.join(' ')})` : node.path ? ':file:_files' : ':value: ';
    return `${name}() {
  _arguments -s ${[...options, `'*${values}'`].join(' ')}
}`;
  }
  const names = node.children.map((child) => quote(`${child.name}:${child.summary.replaceAll(':', '\\:')}`)).join(' ');
  const cases = node.children
    .map((child) => `      ${child.name}) ${functionName([...path, child.name])};;`)
    .join('\n');
  return `${name}() {
  local state line
  _arguments -C ${[...options, `'1:command:->command'`, `'*::argument:->argument'`].join(' ')}
  case $state in
    command) local -a commands=(${names}); _describe command commands;;
    argument) case $line[1] in
${cases}
    esac;;
  esac
}`;
}

function optionSpecs(option: OptionNode): string[] {
  const description = option.description.replaceAll(/[[\]:]/g, '\\$&');
  const value = !option.takesValue
    ? ''
    : option.choices.length > 0
      ? `:value:(${option.choices.join(' ')})`
      : option.path
        ? ':file:_files'
        : ':value: ';
  return option.names.map((name) => quote(`*${name}[${description}]${value}`));
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
