// Tests that are stored with a policy: each is about one connection.
import { parseAddress } from '@ringfence/proto/address.js';
import type { Path } from './end-shape.js';
import type { PolicyTest, TestEndSpec, TestSpec } from './model.js';
import { ANY_PROTOCOL, parsePorts } from './ports.js';
import { checkDimension, checkValue, type Names, type Report } from './resolve-end.js';

/** The test that a spec means. */
export function resolveTest(spec: TestSpec, names: Names, report: Report, path: Path): PolicyTest {
  checkTestEnd(spec.from, names, report, [...path, 'from']);
  checkTestEnd(spec.to, names, report, [...path, 'to']);
  if ('address' in spec.from && 'address' in spec.to) {
    report([...path, 'to'], 'RF_POLICY_END', 'a workload at one end at least: addresses alone enforce nothing');
  }
  const ports = onePort(spec.service, report, [...path, 'service']);
  return {
    name: spec.name,
    from: spec.from,
    to: spec.to,
    protocol: ports.protocol,
    port: ports.low,
    expectAllowed: spec.expect === 'allowed',
  };
}

/** A test is about one connection: one port, one ICMP type, or a protocol that has neither. */
function onePort(text: string, report: Report, path: Path): { readonly protocol: number; readonly low: number } {
  const range = parsePorts(text);
  if ('problem' in range) {
    report(path, 'RF_POLICY_PORT', range.wanted);
    return { protocol: 0, low: 0 };
  }
  const several = range.protocol === ANY_PROTOCOL || (text.includes('-') && range.low !== range.high);
  if (several || ['tcp', 'udp', 'sctp', 'icmp', 'icmpv6'].includes(text)) {
    report(
      path,
      'RF_POLICY_PORT',
      'one connection: a single port (tcp/443), ICMP type (icmp/8) or protocol (protocol/47)',
    );
  }
  return range;
}

function checkTestEnd(end: TestEndSpec, names: Names, report: Report, path: Path): void {
  if ('address' in end) {
    if (parseAddress(end.address) === undefined)
      report([...path, 'address'], 'RF_POLICY_CIDR', 'one IPv4 or IPv6 address');
    return;
  }
  if (!('labels' in end)) return;
  for (const [dimension, value] of Object.entries(end.labels)) {
    const at = [...path, 'labels', dimension];
    if (checkDimension(dimension, names, report, at)) {
      checkValue(dimension, value, names, report, at);
    }
  }
}
