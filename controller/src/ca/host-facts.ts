// Facts that a host reports about itself, bounded: they are kept and shown, and nothing is decided by them.
import { addressHex, mappedAddress } from '@ringfence/proto/address.js';
import type { HostFacts } from '@ringfence/proto/gen/ringfence/v1/agent.js';
import type { HostRecord } from '../store/records.js';

const TEXT_MAX = 255;
const LIST_MAX = 64;

/** As the store keeps them. Texts and lists are cut at their bound; addresses of neither 4 nor 16 bytes are left out. */
export function factsRecord(facts: HostFacts | undefined): HostRecord['facts'] {
  const text = (value: string | undefined) => (value ?? '').slice(0, TEXT_MAX);
  const texts = (values: readonly string[] | undefined) => (values ?? []).slice(0, LIST_MAX).map(text);
  const usable = (facts?.addresses ?? []).filter(({ ip }) => ip.length === 4 || ip.length === 16).slice(0, LIST_MAX);
  return {
    kernel: text(facts?.kernel),
    os: text(facts?.os),
    addresses: usable.map(({ ip, space }) => ({ ip: addressHex(mappedAddress(ip)), space: text(space) })),
    cgroupMode: text(facts?.cgroupMode),
    runtimes: texts(facts?.runtimes),
    machineId: text(facts?.machineId),
    bootId: text(facts?.bootId),
    agentVersion: text(facts?.agentVersion),
    features: texts(facts?.features),
    missingFeatures: texts(facts?.missingFeatures),
  };
}
