import type { WorkloadMemberships } from '@ringfence/proto/gen/ringfence/v1/admin_workloads.js';
import { type Field, field } from '../output/fields.js';
import { addressJson, addressText } from './labels.js';
import { modeWords } from './words.js';

/** What one workload belongs to, in JSON. */
export function membershipsJson(memberships: WorkloadMemberships): object {
  return {
    workloadId: memberships.workloadId,
    policyVersion: memberships.policyVersion,
    groups: memberships.groups.map(({ name, dimension, value, via }) => ({ name, dimension, value, via })),
    ipLists: memberships.ipLists.map(({ name, address }) => ({
      name,
      address: address === undefined ? null : addressJson(address),
    })),
    rules: memberships.rules.map(({ id, action, provides, uses, idle }) => ({ id, action, provides, uses, idle })),
    modes: memberships.modes.map((one) => ({
      id: one.id,
      mode: modeWords.of(one.mode),
      inbound: one.inbound,
      outbound: one.outbound,
      decidesInbound: one.decidesInbound,
      decidesOutbound: one.decidesOutbound,
    })),
  };
}

/** The same for people. */
export function membershipsFields(memberships: WorkloadMemberships): Field[] {
  const { groups, ipLists, rules, modes } = memberships;
  return [
    field('workload', memberships.workloadId, 'strong'),
    field('policy version', memberships.policyVersion === 0 ? '(none)' : String(memberships.policyVersion)),
    { label: 'groups', values: groups.map(groupText) },
    {
      label: 'IP lists',
      values: ipLists.map(({ name, address }) => `${name}  (${address ? addressText(address) : '?'})`),
    },
    { label: 'rules', values: rules.map(ruleText) },
    { label: 'modes', values: modes.map(modeText) },
  ];
}

function groupText({ name, dimension, value, via }: WorkloadMemberships['groups'][number]): string {
  const way = via.length === 0 ? '' : `, by group ${via.join(' in ')}`;
  return `${name}  (${dimension}=${value}${way})`;
}

function ruleText({ id, action, provides, uses, idle }: WorkloadMemberships['rules'][number]): string {
  const ends = [...(provides ? ['provides'] : []), ...(uses ? ['uses'] : [])].join(' and ');
  return `${id}  (${action}, ${ends}${idle ? ', not in force' : ''})`;
}

function modeText(one: WorkloadMemberships['modes'][number]): string {
  const directions = one.inbound && one.outbound ? 'both ways' : one.inbound ? 'inbound' : 'outbound';
  const decides = [...(one.decidesInbound ? ['inbound'] : []), ...(one.decidesOutbound ? ['outbound'] : [])];
  const word = decides.length === 0 ? 'another is stronger' : `decides ${decides.join(' and ')}`;
  return `${one.id}  (${modeWords.of(one.mode)} ${directions}; ${word})`;
}
