// docs/examples/credit.md, run: `sudo node lab/dist/examples/main.js`. Prints what each pair got; exit code 1 unless all is as it says.
import { asWanted, labels, show, startCredit, tryAll } from './credit.js';

const { fleet } = await startCredit();
try {
  const before = await tryAll(fleet, labels);
  process.stdout.write(`Two rules in force:\n\n${show(before)}`);
  const moved = { ...labels, visitor: { ...labels.visitor, app: 'lending' } };
  await fleet.label('visitor', { ...moved.visitor });
  await fleet.converged();
  const after = await tryAll(fleet, moved);
  process.stdout.write(`\nvisitor relabelled app=lending, policy as before:\n\n${show(after)}`);
  process.exitCode = asWanted([...before, ...after]) ? 0 : 1;
} finally {
  await fleet.close();
}
