// Runs a TypeScript source file of this repository as a process of its own, without a build: for tests that must kill a process.

/** Lets './x.js' mean './x.ts' where only the source exists. */
const HOOKS = `import { registerHooks } from 'node:module';
registerHooks({
  resolve(specifier, context, next) {
    try {
      return next(specifier, context);
    } catch (error) {
      if (specifier.startsWith('.') && specifier.endsWith('.js')) return next(specifier.slice(0, -3) + '.ts', context);
      throw error;
    }
  },
});`;

/** Arguments for process.execPath that run `file` (an absolute path) with `args`. */
export function sourceArguments(file: string, args: readonly string[]): string[] {
  const hooks = `data:text/javascript,${encodeURIComponent(HOOKS)}`;
  return ['--experimental-transform-types', '--no-warnings', '-C', 'ringfence-src', '--import', hooks, file, ...args];
}
