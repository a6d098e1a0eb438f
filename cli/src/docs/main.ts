// Prints docs/cli.md. Run by cli/gen.sh.
import { PassThrough } from 'node:stream';
import { App } from '../app.js';
import { buildProgram } from '../program.js';
import { referenceOf } from './reference.js';

const silent = new PassThrough();
const app = new App({
  stdin: silent,
  stdout: silent,
  stderr: silent,
  env: {},
  home: '',
  now: () => 0,
  interruption: () => new AbortController().signal,
});
buildProgram(app);
process.stdout.write(referenceOf(await app.definitions()));
