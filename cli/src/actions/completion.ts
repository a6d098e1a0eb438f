import type { Action, App } from '../app.js';
import { bashScript } from '../completion/bash.js';
import { fishScript } from '../completion/fish.js';
import { treeOf } from '../completion/tree.js';
import { zshScript } from '../completion/zsh.js';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** `completion`: a script made from the very definitions that parse the command line. */
export function completionOf(app: App): Action<[keyof typeof scripts], object> {
  return async (invocation, _options, shell) => {
    const script = scripts[shell](treeOf(await app.definitions()));
    await invocation.printer.report({ shell, script }, script);
  };
}
