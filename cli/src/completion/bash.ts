import { type CommandNode, type OptionNode, walk } from './tree.js';

/** A completion script for bash 4 or later; needs no bash-completion package. */
export function bashScript(root: CommandNode): string {
  const nodes = walk(root);
  const words = nodes.map(({ path, node }) => {
    const names = [...node.children.map(({ name }) => name), ...(node.children.length > 0 ? [] : node.choices)];
    return `    ${key(path)}) words=${quote(names.join(' '))}; options=${quote(optionNames(node, root))}; paths=${node.path ? 1 : 0};;`;
  });
  const values = nodes.flatMap(({ path, node }) =>
    node.options.filter((option) => option.takesValue).map((option) => valueCase(path, option)),
  );
  const known = nodes.filter(({ path }) => path.length > 0).map(({ path }) => key(path));
  return `# bash completion of ringfence; made by \`ringfence completion bash\`
_ringfence() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command='' index word words='' options='' paths=0
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case "$command $word" in
      ${known.map((path) => `"${path.replace(/^'|'$/g, '').replace(/ ?([^ ]+)$/, ' $1')}"`).join('|')}) command="\${command:+$command }$word";;
    esac
  done
  case "$command|$previous" in
${values.join('\n')}
  esac
  case "$command" in
${words.join('\n')}
  esac
  if [[ $current == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ $paths == 1 ]]; then _ringfence_files "$current"
  else COMPREPLY=($(compgen -W "$words" -- "$current")); fi
}
_ringfence_files() {
  local IFS=$'\\n'
  compopt -o filenames 2> /dev/null
  COMPREPLY=($(compgen -f -- "$1"))
}
complete -F _ringfence ringfence
`;
}

/** The words of a path as one case pattern: 'host token list'. */
function key(path: readonly string[]): string {
  return `'${path.join(' ')}'`;
}

function optionNames(node: CommandNode, root: CommandNode): string {
  const own = [...node.options, ...(node === root ? [] : root.options)];
  return [...own.flatMap(({ names }) => names.slice(0, 1)), '--help'].join(' ');
}

function valueCase(path: readonly string[], option: OptionNode): string {
  // Options of the root are understood everywhere.
  const command = path.length === 0 ? '*' : `'${path.join(' ')}'`;
  const patterns = option.names.map((name) => `${command}'|${name}'`).join('|');
  if (option.choices.length > 0)
    return `    ${patterns}) COMPREPLY=($(compgen -W ${quote(option.choices.join(' '))} -- "$current")); return;;`;
  return option.path
    ? `    ${patterns}) _ringfence_files "$current"; return;;`
    : `    ${patterns}) COMPREPLY=(); return;;`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
