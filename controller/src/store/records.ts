// What the store keeps, one schema per kind. A record that does not fit its schema means damage or a foreign hand: the store
// refuses to open. New fields get a default here, so that older records still fit. Times are Unix milliseconds.
import { z } from 'zod';

const labels = z.record(z.string(), z.string());
/** 32 hexadecimal digits: an address in its mapped form. */
const ipHex = z.string().regex(/^[0-9a-f]{32}$/);
const address = z.object({ ip: ipHex, space: z.string() });
const time = z.number().int().nonnegative();
const count = z.number().int().nonnegative();

/** The system itself; key "system". */
const system = z.object({ epoch: z.string().min(1), createdMs: time });

/** A number that only grows; key names what it counts. */
const counter = z.object({ value: count });

/** One certificate that the authority signed for a host. */
const certificate = z.object({
  serial: z.string(),
  notAfterMs: time,
  issuedMs: time,
  /** 0: good. */
  revokedMs: time,
  reason: z.string(),
});

/** A machine that runs an agent; key is its id. */
const host = z.object({
  id: z.string(),
  name: z.string(),
  enrolledMs: time,
  /** Newest last; expired ones are dropped when a new one is signed. */
  certificates: z.array(certificate),
  facts: z.object({
    kernel: z.string(),
    os: z.string(),
    addresses: z.array(address),
    cgroupMode: z.string(),
    runtimes: z.array(z.string()),
    machineId: z.string(),
    bootId: z.string(),
    agentVersion: z.string(),
    features: z.array(z.string()),
  }),
});

/** A certificate serial of a host that was removed; key is the serial. Kept until the certificate has expired. */
const revokedSerial = z.object({ hostId: z.string(), notAfterMs: time, revokedMs: time });

/** A one-time enrolment token, without its secret; key is its id. */
const token = z.object({
  id: z.string(),
  /** SHA-256 of the secret, hex. */
  secretHash: z.string().regex(/^[0-9a-f]{64}$/),
  /** Id that the host must get; empty: made from its name. */
  hostId: z.string(),
  note: z.string(),
  author: z.string(),
  createdMs: time,
  expiresMs: time,
  /** 0: not used yet. A used token stays until it expires, so that its second use can be told as such. */
  usedMs: time,
});

/** A workload, managed or not; key is its id. */
const workload = z.object({
  id: z.string(),
  name: z.string(),
  /** WorkloadKind's number. */
  kind: z.number().int(),
  /** Empty when no agent is there. */
  hostId: z.string(),
  /** The agent's id of it; empty when no agent is there. */
  localId: z.string(),
  source: z.string(),
  image: z.string(),
  addresses: z.array(address),
  published: z.array(z.object({ protocol: count, hostAddress: z.string(), hostPort: count, port: count })),
  cgroupPath: z.string(),
  labels,
  sticky: z.boolean(),
  metadata: z.record(z.string(), z.string()),
  present: z.boolean(),
  /** When its agent stopped reporting it; 0 while present. */
  goneMs: time,
  createdMs: time,
  /** Grows with every change of name, labels or addresses. */
  version: count,
});

/** Labels kept for a later workload of the same host, kind and name; key is `${hostId}|${kind}|${name}`. */
const sticky = z.object({ labels });

/** A number given once and for all. Of a label set (key: the compiler's), of a set of IP lists, of a rule id. */
const number = z.object({ number: z.number().int().positive() });

/** One file of the draft; key is its name. */
const draftFile = z.object({ content: z.string() });

/** A provisioned policy; key is its number, ten digits. Never changes. */
const policyVersion = z.object({
  number: z.number().int().positive(),
  author: z.string(),
  note: z.string(),
  createdMs: time,
  rules: count,
  /** 0: not by rolling back. */
  rollbackOf: count,
  files: z.array(z.object({ name: z.string(), content: z.string() })),
});

/** A pushed destination mapping; key is `${space}|${ip}|${protocol}|${port}`. */
const nat = z.object({
  space: z.string(),
  ip: ipHex,
  protocol: count,
  port: count,
  workloadId: z.string(),
  workloadPort: count,
  source: z.string(),
});

/** What a pairing key's holder may become; key is its id. Fields as in pairing/profile.ts. */
const pairingProfile = z.object({
  id: z.string(),
  name: z.string(),
  dimensions: z.array(
    z.object({
      dimension: z.string(),
      value: z.string().optional(),
      locked: z.boolean(),
      permitted: z.array(z.string()).optional(),
    }),
  ),
  startingMode: z.enum(['visibility', 'test', 'enforce']),
  lifespanMs: time.optional(),
  usesMax: count.optional(),
  onConflict: z.enum(['profile-value', 'deny']),
  sources: z.array(z.string()),
  enabled: z.boolean(),
  owner: z.string(),
  note: z.string(),
});

/** A pairing key without its secret; key is its id. */
const pairingKey = z.object({
  id: z.string(),
  profileId: z.string(),
  /** HMAC-SHA256 of the secret under the controller's own key, hex. */
  secretMac: z.string().regex(/^[0-9a-f]{64}$/),
  note: z.string(),
  author: z.string(),
  createdAtMs: time,
  expiresAtMs: time.optional(),
  usesMax: count.optional(),
  uses: count,
  revokedAtMs: time.optional(),
});

/** A workload that a key paired; key is the workload's id. */
const pairing = z.object({
  workloadId: z.string(),
  hostId: z.string(),
  keyId: z.string(),
  profileId: z.string(),
  labels,
  startingMode: z.enum(['visibility', 'test', 'enforce']),
  pairedMs: time,
});

/** Every kind of record and its schema. */
export const SCHEMAS = {
  system,
  counter,
  host,
  revokedSerial,
  token,
  workload,
  sticky,
  identity: number,
  ipClass: number,
  rule: number,
  draftFile,
  policyVersion,
  nat,
  pairingProfile,
  pairingKey,
  pairing,
};

/** Name of a kind of record. */
export type Kind = keyof typeof SCHEMAS;

/** The records by kind. */
export type Records = { readonly [K in Kind]: Readonly<z.infer<(typeof SCHEMAS)[K]>> };

export type HostRecord = Records['host'];
export type TokenRecord = Records['token'];
export type WorkloadRecord = Records['workload'];
export type AddressRecord = WorkloadRecord['addresses'][number];
export type PolicyVersionRecord = Records['policyVersion'];
export type NatRecord = Records['nat'];
export type PairingRecord = Records['pairing'];
export type PolicyFileRecord = PolicyVersionRecord['files'][number];
