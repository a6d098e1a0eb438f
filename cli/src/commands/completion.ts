import { Argument } from 'commander';
import type { Define } from './groups.js';

export const define: Define = (command, app) => {
  command
    .addArgument(new Argument('<shell>', 'which shell').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      `
bash: source <(ringfence completion bash)
zsh:  ringfence completion zsh > "\${fpath[1]}/_ringfence"
fish: ringfence completion fish > ~/.config/fish/completions/ringfence.fish`,
    )
    .action(app.action(async () => (await import('../actions/completion.js')).completionOf(app)));
};
