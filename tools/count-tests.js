// Reads vitest's JSON reports and prints one closing line. Exits 1 when a test failed, none ran, or (in CI) any was skipped.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const FIRST_LINES = 12;
const [folder, skippedGroups] = [process.argv[2], Number(process.argv[3])];
const total = { passed: 0, failed: 0, skipped: 0 };
for (const file of readdirSync(folder)) {
  const report = JSON.parse(readFileSync(join(folder, file), 'utf8'));
  total.passed += report.numPassedTests;
  total.failed += report.numFailedTests;
  total.skipped += report.numPendingTests + report.numTodoTests;
  for (const suite of report.testResults) {
    if (suite.status === 'failed' && suite.assertionResults.length === 0) {
      total.failed += 1;
      tellFailed(suite.name, [suite.message]);
    }
    for (const test of suite.assertionResults) {
      if (test.status === 'failed') tellFailed(`${suite.name}: ${test.fullName}`, test.failureMessages);
      if (test.status === 'pending' || test.status === 'skipped') console.log(`skipped: ${test.fullName}`);
    }
  }
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
const inCi = process.env.CI === 'true';
if (inCi && (total.skipped > 0 || skippedGroups > 0)) console.error('In CI a skip is a failure.');
process.exit(total.failed > 0 || total.passed === 0 || (inCi && (total.skipped > 0 || skippedGroups > 0)) ? 1 : 0);

/** Once more at the end, where whoever sees only a log's tail finds it. */
function tellFailed(name, messages) {
  const text = stripVTControlCharacters(messages.join('\n'));
  console.log(`failed: ${relative(process.cwd(), name)}\n  ${text.split('\n').slice(0, FIRST_LINES).join('\n  ')}`);
}
