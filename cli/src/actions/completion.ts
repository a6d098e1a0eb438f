import { type Action, App } from '../app.js';
import { bashScript } from '../completion/bash.js';
import { fishScript } from '../completion/fish.js';
import { treeOf } from '../completion/tree.js';
import { zshScript } from '../completion/zsh.js';
import { buildProgram, loadAll } from '../program.js';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** `completion`: a script made from the very definitions that parse the command line. */
export const completion: Action<[keyof typeof scripts], object> = async (invocation, _options, shell) => {
  const program = buildProgram(new App(invocation.io));
  await loadAll(program);
  const script = scripts[shell](treeOf(program));
  await invocation.printer.report({ shell, script }, script);
};
