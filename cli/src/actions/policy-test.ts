import { PolicyService, type TestPolicyRequest } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { Action } from '../app.js';
import { ExitCode, usageError } from '../errors.js';
import { parseService } from '../filter/numbers.js';
import { plural } from '../text/plural.js';
import { testColumns, testJson } from '../views/policy.js';
import { serviceText } from '../views/protocol.js';
import { explainEnd } from './explain.js';
import { refOf } from './policy-judge.js';

interface Options {
  from?: string;
  to?: string;
  service?: string;
  expect?: string;
}

/** `policy test`: exit code 1 when one fails. */
export const testPolicy: Action<[string | undefined], Options> = async (
  invocation,
  options,
  text,
): Promise<ExitCode> => {
  const questions = questionsOf(options);
  const { connection, ref } = await refOf(invocation, text);
  const { results } = await connection.call('test the policy', PolicyService.test, { policy: ref, questions });
  const failed = results.filter(({ passed }) => !passed).length;
  const { printer } = invocation;
  await printer.list({
    name: 'results',
    rows: results,
    columns: testColumns,
    json: testJson,
    extra: { tests: results.length, failed },
    empty: 'The policy has no tests. A section `tests` in its files says what must be allowed or blocked.',
  });
  if (!printer.forPrograms && results.length > 0) {
    await printer.note(
      failed === 0
        ? `${plural(results.length, 'test')}, none fails.`
        : `${failed} of ${plural(results.length, 'test')} failed.`,
    );
  }
  return failed === 0 ? ExitCode.ok : ExitCode.refused;
};

/** The one question of --from, --to and --service; none: the policy's own tests are meant. */
function questionsOf({ from, to, service, expect }: Options): TestPolicyRequest['questions'] {
  if (from === undefined && to === undefined && service === undefined) {
    if (expect === undefined) return [];
    throw usageError(
      'Cannot test the policy',
      'found --expect without a question',
      '--from, --to and --service with it',
    );
  }
  if (from === undefined || to === undefined || service === undefined) {
    const given = Object.entries({ from, to, service }).filter(([, value]) => value !== undefined);
    const found = `found ${given.map(([name]) => `--${name}`).join(', ')}`;
    throw usageError(
      'Cannot test the policy',
      `${found} alone`,
      '--from, --to and --service together, or none of them',
    );
  }
  const { protocol, port } = parseService(service);
  const expectAllowed = expect !== 'blocked';
  const name = serviceText(protocol, port);
  return [{ name, from: explainEnd(from, '--from'), to: explainEnd(to, '--to'), protocol, port, expectAllowed }];
}
