// Prints docs/cli.md. Run by cli/gen.sh.
import { PassThrough } from 'node:stream';
import { App } from '../app.js';
import { buildProgram, loadAll } from '../program.js';
import { referenceOf } from './reference.js';

const silent = new PassThrough();
const program = buildProgram(
  new App({
    stdin: silent,
    stdout: silent,
    stderr: silent,
    env: {},
    home: '',
    now: () => 0,
    interruption: () => new AbortController().signal,
  }),
);
await loadAll(program);
process.stdout.write(referenceOf(program));
