import { describe, expect, it } from 'vitest';
import { PolicySet as WirePolicySet } from '../gen/ringfence/v1/agent.js';
import { Mode } from '../gen/ringfence/v1/common.js';
import { parseAddress, parsePrefix } from './address.js';
import {
  assignmentFromWire,
  assignmentToWire,
  bindingFromWire,
  bindingToWire,
  cidrFromWire,
  cidrToWire,
  prefixFromWire,
} from './instructions.js';
import {
  decideCompiled,
  decideCompiledShared,
  lookupPorts,
  type PortEntry,
  PROTOCOL_ANY,
  policySet,
  policySetFromWire,
  policySetToWire,
} from './policy-set.js';

const entry = (protocol: number, portLow: number, portHigh: number, rule: number, allow = true): PortEntry => ({
  protocol,
  portLow,
  portHigh,
  rule,
  allow,
  constraints: 0,
});

const set = policySet([
  { anyone: true, identities: [], classes: [], ports: [entry(6, 80, 80, 1)] },
  { anyone: false, identities: [5, 7], classes: [], ports: [entry(6, 80, 80, 1), entry(6, 22, 22, 3)] },
  { anyone: false, identities: [6], classes: [], ports: [entry(PROTOCOL_ANY, 0, 65535, 4, false)] },
  { anyone: false, identities: [], classes: [2], ports: [entry(6, 22, 22, 2, false)] },
]);

describe('policySet', () => {
  it('is named by its content alone', () => {
    expect(policySet(set.groups.map((group) => ({ ...group }))).hash).toBe(set.hash);
    expect(set.hash).toMatch(/^[0-9a-f]{32}$/);
    expect(policySet(set.groups.slice(0, 3)).hash).not.toBe(set.hash);
  });

  it('survives the wire, and a claimed name that its content does not have is refused', () => {
    const wire = WirePolicySet.decode(WirePolicySet.encode(policySetToWire(set)).finish());
    expect(policySetFromWire(wire)).toEqual(set);
    expect(() => policySetFromWire({ ...wire, groups: wire.groups.slice(1) })).toThrow('Cannot accept policy set');
  });
});

describe('lookups', () => {
  it('prefer a range to its protocol to any protocol', () => {
    const ports = [entry(6, 0, 65535, 1), entry(6, 80, 90, 2), entry(PROTOCOL_ANY, 0, 65535, 3)];
    expect(lookupPorts(ports, 6, 85)?.rule).toBe(2);
    expect(lookupPorts(ports, 6, 91)?.rule).toBe(1);
    expect(lookupPorts(ports, 17, 85)?.rule).toBe(3);
  });

  it('combine the identity and the class: deny over allow', () => {
    expect(decideCompiled(set, { identity: 5, classId: 0 }, 6, 22)).toMatchObject({ rule: 3, allow: true });
    expect(decideCompiled(set, { identity: 5, classId: 2 }, 6, 22)).toMatchObject({ rule: 2, allow: false });
    expect(decideCompiled(set, { identity: 0, classId: 0 }, 6, 80)).toMatchObject({ rule: 1 });
    expect(decideCompiled(set, { identity: 99, classId: 0 }, 6, 22)).toBeUndefined();
    expect(decideCompiled(undefined, { identity: 5, classId: 0 }, 6, 80)).toBeUndefined();
  });

  it('take the first allowed of a shared address, else a deny', () => {
    expect(decideCompiledShared(set, [6, 7], 0, 6, 22)).toMatchObject({ rule: 3, allow: true });
    expect(decideCompiledShared(set, [6, 99], 0, 6, 22)).toMatchObject({ rule: 4, allow: false });
    expect(decideCompiledShared(set, [], 0, 6, 80)).toMatchObject({ rule: 1, allow: true });
  });
});

describe('instructions', () => {
  const address = parseAddress('10.0.0.1') ?? new Uint8Array(0);
  const prefix = parsePrefix('10.0.0.0/8');

  it('survive the wire', () => {
    const assignment = {
      localId: 'container:a',
      workloadId: 'w',
      identity: 7,
      modeIn: Mode.MODE_ENFORCE,
      modeOut: Mode.MODE_TEST,
      setIn: set.hash,
      setOut: '',
      isolated: false,
      space: '',
      reject: true,
      labels: { role: 'web' },
    };
    expect(assignmentFromWire(assignmentToWire(assignment))).toEqual(assignment);
    const binding = { space: '', address, identity: 3, shared: [3, 4], unmanaged: false };
    expect(bindingToWire(binding).key?.ip.length).toBe(4);
    expect(bindingFromWire(bindingToWire(binding))).toEqual(binding);
    if ('problem' in prefix) throw new Error(prefix.problem);
    expect(cidrToWire({ prefix, classId: 2 }).prefix?.length).toBe(8);
    expect(cidrFromWire(cidrToWire({ prefix, classId: 2 }))).toEqual({ prefix, classId: 2 });
  });

  it('refuse what cannot be', () => {
    expect(() => prefixFromWire({ ip: Buffer.from([10, 0, 0, 0]), length: 33 })).toThrow(
      'found length 33, wanted at most 32',
    );
    expect(() => bindingFromWire({ key: undefined, identity: 1, shared: [], unmanaged: false, former: false })).toThrow(
      'found no key',
    );
  });
});
