// What an operator asks a policy once, in the form of the tests that are stored with it.
import { parseAddress } from '@ringfence/proto/address.js';
import type { ExplainEnd, TestPolicyRequest_Question } from '@ringfence/proto/gen/ringfence/v1/admin_policy.js';
import type { PolicyTest, TestEndSpec } from '../policy/model.js';
import { labelsFromWire, quote } from './convert.js';
import { invalid } from './errors.js';

const QUESTIONS_MAX = 1000;

/** `dimensions`: those that labels may name. Throws ApiError RF_POLICY_QUESTION, RF_ADDRESS, or what is wrong with labels. */
export function questionsOf(
  questions: readonly TestPolicyRequest_Question[],
  dimensions: Parameters<typeof labelsFromWire>[2],
): PolicyTest[] {
  if (questions.length > QUESTIONS_MAX) throw wrong(`${questions.length} questions`, `at most ${QUESTIONS_MAX}`);
  return questions.map(({ name, from, to, protocol, port, expectAllowed }) => {
    if (protocol > 255) throw wrong(`protocol ${protocol}`, '0 to 255');
    if (port > 65_535) throw wrong(`port ${port}`, '0 to 65535');
    return {
      name,
      from: endOf(from, 'source', dimensions),
      to: endOf(to, 'destination', dimensions),
      protocol,
      port,
      expectAllowed,
    };
  });
}

function endOf(
  end: ExplainEnd | undefined,
  name: string,
  dimensions: Parameters<typeof labelsFromWire>[2],
): TestEndSpec {
  switch (end?.end?.$case) {
    case 'workload':
      return { workload: end.end.value };
    case 'address': {
      const address = end.end.value;
      if (parseAddress(address) !== undefined) return { address };
      throw invalid(
        'RF_ADDRESS',
        `Cannot test policy: found ${quote(address)} as ${name}, wanted an IPv4 or IPv6 address`,
      );
    }
    case 'labels':
      return { labels: labelsFromWire(end.end.value.labels, `the ${name}`, dimensions) };
    default:
      throw wrong(`no ${name}`, 'a workload, an address or labels');
  }
}

function wrong(found: string, wanted: string): Error {
  return invalid('RF_POLICY_QUESTION', `Cannot test policy: found ${found}, wanted ${wanted}`);
}
