// What the store keeps, one schema per kind. A record that does not fit its schema means damage or a foreign hand: the store
// refuses to open. New fields get a default here, so that older records still fit. Times are Unix milliseconds.
import { z } from 'zod';

const labels = z.record(z.string(), z.string());
/** 32 hexadecimal digits: an address in its mapped form. */
const ipHex = z.string().regex(/^[0-9a-f]{32}$/);
const address = z.object({ ip: ipHex, space: z.string() });
const time = z.number().int().nonnegative();
const count = z.number().int().nonnegative();

const labelHow = z.enum(['locked', 'default', 'requested']);
const startingMode = z.enum(['visibility', 'test', 'enforce']);

/** What a host does to containers that are not paired. */
const unpairedTreatment = z.enum(['visibility', 'isolate']);

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
    missingFeatures: z.array(z.string()).default([]),
  }),
  /** What its agent does to containers that are not paired, by its configuration. */
  unpaired: unpairedTreatment.optional(),
  /** What the profile of the key that it enrolled by says of them. */
  unpairedByProfile: unpairedTreatment.optional(),
  /** What an operator says of them; before the profile, which is before the configuration. */
  unpairedByOperator: unpairedTreatment.optional(),
  /** Who is logged in, newest report; absent: never told. */
  logins: z
    .object({
      source: z.string(),
      /** By name. */
      users: z.array(z.object({ user: z.string(), uid: count.optional(), groups: z.array(z.string()) })),
    })
    .optional(),
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
  /** Where each label comes from, by dimension; labels older than this field have no entry. */
  labelReasons: z
    .record(
      z.string(),
      z.object({
        source: z.enum(['operator', 'pairing', 'login', 'sticky']),
        /** For people. */
        by: z.string(),
        atMs: time,
        /** Pairing: what the profile said of the dimension. */
        how: labelHow.optional(),
        keyId: z.string().optional(),
        profile: z.string().optional(),
        /** Login: the rule of userGroups, the user, and the group that the rule names (absent: it names the user). */
        rule: z.string().optional(),
        user: z.string().optional(),
        group: z.string().optional(),
      }),
    )
    .optional(),
  /** The newest decision on the key that it presents; absent: it presented none. */
  pairing: z
    .object({
      state: z.enum(['paired', 'denied']),
      /** Empty when what it presented is no key of ours. */
      keyId: z.string(),
      profileId: z.string(),
      profileName: z.string(),
      requested: labels,
      startingMode: startingMode.optional(),
      /** PairingDenial; empty when paired. */
      denial: z.string(),
      detail: z.string(),
      decidedMs: time,
      /**
       * What was decided on, when denied: a keyed hash over the text presented and the address that the host came from. The same again
       * is not decided again before its retry.
       */
      presented: z.string().optional(),
    })
    .optional(),
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
  /** Window that it was provisioned with; 0: none. */
  confirmWithinMs: count.default(0),
  /** Its canary in words; empty: none. */
  canary: z.string().default(''),
  files: z.array(z.object({ name: z.string(), content: z.string() })),
});

/** What has become of a version since; key as its own. */
const policyFate = z.object({
  /** 0: not confirmed, or not asked for. */
  confirmedMs: time,
  confirmedBy: z.string(),
  /** When it ceased to be in force; 0: it has not. */
  endedMs: time,
  /** Taken back, not superseded. */
  returned: z.boolean(),
  /** The version that took its place. */
  next: count,
  why: z.string(),
});

/** Which version is in force; key "policy". Without this record it is the newest. */
const policyState = z.object({
  /** Confirmed; 0: none. */
  settled: count,
  /** A version that is in force on condition; null: none. */
  rollout: z
    .object({
      version: z.number().int().positive(),
      startedMs: time,
      author: z.string(),
      /** 0: no window. */
      windowMs: count,
      /** When it ends; 0: never. */
      deadlineMs: time,
      /** Workloads that it is for; null: all. Operators are those of LabelRequirement. */
      canary: z
        .array(z.object({ dimension: z.string(), operator: z.number().int(), values: z.array(z.string()) }))
        .nullable(),
    })
    .nullable(),
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

/** Addresses under which connections were seen to leave a host, and at a gateway which ports of it lead to whom; key is its id. Sorted. */
const translation = z.object({
  hostId: z.string(),
  /** It translates for others. */
  gateway: z.boolean(),
  pairs: z.array(z.object({ inside: ipHex, outside: ipHex })),
  destinations: z
    .array(z.object({ protocol: count, address: ipHex, port: count, to: ipHex, toPort: count }))
    .optional(),
});

/**
 * Address spaces. Key SPACES_KEY: declared by operators; `connector:<name>`: what a connector found. Content that was accepted; `former`:
 * what stood there before, the newest first.
 */
const spaces = z.object({ content: z.string(), changedMs: time, former: z.array(z.string()).optional() });

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
  /** What hosts that enrol by its keys do to containers that are not paired. */
  hostUnpaired: unpairedTreatment.optional(),
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
  startingMode,
  pairedMs: time,
  /** What the profile said of each label's dimension. */
  how: z.record(z.string(), labelHow).optional(),
  /** What it asked for; a request that differs is decided anew. */
  requested: labels.optional(),
});

/** Workloads cut off until released; key is its id. Exactly one of selector, keyId and workloads. */
const quarantine = z.object({
  id: z.string(),
  /** As LabelRequirement. */
  selector: z
    .array(z.object({ dimension: z.string(), operator: z.number().int(), values: z.array(z.string()) }))
    .optional(),
  keyId: z.string().optional(),
  workloads: z.array(z.string()).optional(),
  author: z.string(),
  reason: z.string(),
  createdMs: time,
});

/** Who asked for a link to the web page, by his certificate. */
const webOperator = { operator: z.string().min(1), serial: z.string(), notAfterMs: time };

/** A one-time link that signs a browser in; key is its id. Goes when it is used. */
const webLink = z.object({
  id: z.string(),
  /** SHA-256 of the secret, hex. */
  secretHash: z.string().regex(/^[0-9a-f]{64}$/),
  ...webOperator,
  expiresMs: time,
});

/** A signed-in browser; key and id are SHA-256 of the secret in its cookie, hex. */
const webSession = z.object({
  id: z.string().regex(/^[0-9a-f]{64}$/),
  ...webOperator,
  address: z.string(),
  userAgent: z.string(),
  createdMs: time,
  expiresMs: time,
});

/** Every kind of record and its schema. */
/** In-band tags; key TAGGING_KEY. mode: what an operator said; absent: as the controller is configured. */
const tagging = z.object({ mode: z.enum(['off', 'peers', 'anywhere']).optional(), rotations: count });

export const SCHEMAS = {
  system,
  counter,
  tagging,
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
  policyFate,
  policyState,
  nat,
  translation,
  spaces,
  pairingProfile,
  pairingKey,
  pairing,
  quarantine,
  webLink,
  webSession,
};

/** Key of the spaces that operators declare. */
export const SPACES_KEY = 'current';
export const TAGGING_KEY = 'current';

/** Name of a kind of record. */
export type Kind = keyof typeof SCHEMAS;

/** The records by kind. */
export type Records = { readonly [K in Kind]: Readonly<z.infer<(typeof SCHEMAS)[K]>> };

export type HostRecord = Records['host'];
export type TokenRecord = Records['token'];
export type WorkloadRecord = Records['workload'];
export type AddressRecord = WorkloadRecord['addresses'][number];
export type PolicyVersionRecord = Records['policyVersion'];
export type PolicyFateRecord = Records['policyFate'];
export type RolloutRecord = NonNullable<Records['policyState']['rollout']>;
export type NatRecord = Records['nat'];
export type TranslationRecord = Records['translation'];
export type SpacesRecord = Records['spaces'];
export type PairingRecord = Records['pairing'];
export type QuarantineRecord = Records['quarantine'];
export type LoginsRecord = NonNullable<HostRecord['logins']>;
export type LabelReasonRecord = NonNullable<WorkloadRecord['labelReasons']>[string];
export type PolicyFileRecord = PolicyVersionRecord['files'][number];
