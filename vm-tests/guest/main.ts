// Entry inside a guest: main.js SERIAL. RF_ONLY=objects (the kernel hands it on from its command line): features and objects.
// Runs every check and writes a line for each; ends with code 0 whatever they found.
import { openSync } from 'node:fs';
import { release } from 'node:os';
import { Bed } from './bed.js';
import { checkFeatures } from './features.js';
import { loadEach, reportLoaded } from './objects.js';
import { Report } from './report.js';
import { runScenarios } from './scenarios.js';

const report = new Report(openSync(process.argv[2] ?? '/dev/stdout', 'a'));
report.write({ kind: 'start', release: release(), node: process.version });
await checkFeatures(report);
if (process.env.RF_ONLY === 'objects') await loadEach(report);
else {
  const bed = await Bed.make();
  const opened = await report.check('open datapath', async () => {
    const start = await bed.open('auto');
    if (start !== 'fresh') throw new Error(`found ${start}, wanted fresh`);
  });
  if (opened) {
    await reportLoaded(report, (await bed.status()).missing);
    await runScenarios(report, bed);
  } else await loadEach(report);
}
report.write({ kind: 'end' });
process.exit(0);
