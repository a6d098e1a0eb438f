// The policy model. `PolicyDocument` is what people write (YAML files, API), with names; `Policy` is the same resolved for
// evaluation and compiling: groups expanded, services as port ranges, rules numbered. resolve.ts makes one from the other.

import type { AddressPrefix } from '@ringfence/proto/address.js';
import type { Mode } from '@ringfence/proto/gen/ringfence/v1/common.js';

/** dimension → value. A workload need not have every dimension. */
export type Labels = Readonly<Record<string, string>>;

/** A workload as policy sees it. */
export interface PolicyWorkload {
  /** The controller's id: what `workload: ID` in a policy file names. */
  readonly id: string;
  readonly labels: Labels;
}

// ---------------------------------------------------------------------------------------------------- as written

/** A dimension of labels. Values undefined: any value is permitted. */
export interface DimensionSpec {
  readonly name: string;
  readonly values?: readonly string[];
  readonly note?: string;
}

/** A named set of values of one dimension; groups are nested ones of the same dimension. */
export interface LabelGroupSpec {
  readonly name: string;
  readonly dimension: string;
  readonly values?: readonly string[];
  readonly groups?: readonly string[];
  readonly note?: string;
}

/** A named set of CIDRs, v4 and v6, less its exclusions. */
export interface IpListSpec {
  readonly name: string;
  readonly include: readonly string[];
  readonly exclude?: readonly string[];
  readonly note?: string;
}

/** A named set of port texts: tcp/443, tcp/8000-8080, udp, icmp/8, icmp/3:4, icmpv6/128, protocol/47, any. */
export interface ServiceSpec {
  readonly name: string;
  readonly ports: readonly string[];
  readonly note?: string;
}

/** A condition on labels: exactly one of is, in, group, exists. */
export interface LabelCondition {
  readonly label: string;
  readonly is?: string;
  readonly in?: readonly string[];
  readonly group?: string;
  readonly exists?: boolean;
}

/** Text form: `role=web`, or `workloads` (every known workload). */
export type SelectorSpec =
  | string
  | LabelCondition
  | { readonly workload: string }
  | { readonly all: readonly SelectorSpec[] }
  | { readonly any: readonly SelectorSpec[] }
  | { readonly not: SelectorSpec };

/** One end of a rule. `anyone` is every address, known or not. IP lists and anyone stand alone or directly inside one `any`. */
export type EndSpec = SelectorSpec | { readonly ipList: string } | { readonly any: readonly EndSpec[] };

export type ActionSpec = 'allow' | 'deny';
export type DirectionSpec = 'inbound' | 'outbound' | 'both';
export type ModeName = 'visibility' | 'test' | 'enforce';
export type ConstraintSpec = 'encrypted' | 'authenticated';

/** One rule. `service`: names of services or port texts. */
export interface RuleSpec {
  readonly id: string;
  readonly name?: string;
  readonly action?: ActionSpec;
  readonly service: readonly string[];
  readonly providedBy: EndSpec;
  readonly usedBy: EndSpec;
  /** inbound: decides at the provider only; outbound: at the consumer only. */
  readonly direction?: DirectionSpec;
  readonly same?: readonly string[];
  readonly differs?: readonly string[];
  readonly constraints?: readonly ConstraintSpec[];
  readonly note?: string;
  readonly owner?: string;
  readonly enabled?: boolean;
  /** ISO 8601 instant with zone. */
  readonly expires?: string;
}

/**
 * Rules that apply inside a scope. A scope entry `app=shop` means: workload ends have app=shop; `app` means: both ends have one
 * and the same value of app. Ends that are IP lists or anyone lie outside every scope by nature.
 */
export interface RuleSetSpec {
  readonly id: string;
  readonly name?: string;
  readonly scope?: readonly string[];
  readonly note?: string;
  readonly owner?: string;
  readonly enabled?: boolean;
  readonly rules: readonly RuleSpec[];
}

/** Mode of the workloads that match. Higher priority wins; at equal priority the stricter mode. No match: visibility. */
export interface ModeSpec {
  readonly id: string;
  readonly match: SelectorSpec;
  readonly direction?: DirectionSpec;
  readonly mode: ModeName;
  readonly priority?: number;
  readonly note?: string;
}

/**
 * Who is logged in on a host gives its user-group label: a rule holds while one of the users, or a member of one of the groups, is
 * logged in. Of several rules that hold the one with the highest priority counts, at equal priority the first by id.
 */
export interface UserGroupSpec {
  readonly id: string;
  /** Value of the dimension user-group. */
  readonly value: string;
  /** Names of users, exactly. */
  readonly users?: readonly string[];
  /** Names of groups, exactly. */
  readonly groups?: readonly string[];
  readonly priority?: number;
  readonly note?: string;
}

/** An end of a test: a workload by labels, by id, or an address nobody has. */
export type TestEndSpec = { readonly labels: Labels } | { readonly workload: string } | { readonly address: string };

/** A connection that must be allowed or must be blocked by the rules at both ends, whatever the modes. */
export interface TestSpec {
  readonly name: string;
  readonly from: TestEndSpec;
  readonly to: TestEndSpec;
  /** One port text: tcp/443, icmp/8. */
  readonly service: string;
  readonly expect: 'allowed' | 'blocked';
}

/** Everything one policy holds, in canonical order: each list sorted by its name or id. */
export interface PolicyDocument {
  readonly dimensions: readonly DimensionSpec[];
  readonly labelGroups: readonly LabelGroupSpec[];
  readonly ipLists: readonly IpListSpec[];
  readonly services: readonly ServiceSpec[];
  readonly ruleSets: readonly RuleSetSpec[];
  readonly rules: readonly RuleSpec[];
  readonly modes: readonly ModeSpec[];
  readonly userGroups: readonly UserGroupSpec[];
  readonly tests: readonly TestSpec[];
}

/** The document that holds nothing: everything in visibility, nothing allowed once enforced. */
export const EMPTY_DOCUMENT: PolicyDocument = {
  dimensions: [],
  labelGroups: [],
  ipLists: [],
  services: [],
  ruleSets: [],
  rules: [],
  modes: [],
  userGroups: [],
  tests: [],
};

// ---------------------------------------------------------------------------------------------------- resolved

/** Ports of one protocol (0 to 255), or of every protocol (256: low 0, high 65535). ICMP: type * 256 + code. */
export interface PortRange {
  readonly protocol: number;
  readonly low: number;
  readonly high: number;
}

/** A condition on a known workload, groups expanded. Values and ids are sorted and distinct. */
export type Selector =
  | { readonly kind: 'every' }
  | { readonly kind: 'label'; readonly dimension: string; readonly values: readonly string[] }
  | { readonly kind: 'exists'; readonly dimension: string }
  | { readonly kind: 'workload'; readonly ids: readonly string[] }
  | { readonly kind: 'all'; readonly of: readonly Selector[] }
  | { readonly kind: 'any'; readonly of: readonly Selector[] }
  | { readonly kind: 'not'; readonly of: Selector };

/** One end of a rule, resolved: it matches when any part does. */
export interface End {
  /** Every address, known or not. */
  readonly anyone: boolean;
  /** Known workloads; undefined: none. */
  readonly selector: Selector | undefined;
  /** Names of IP lists, sorted: these match by address as observed, whoever has it. Never match a subject. */
  readonly ipLists: readonly string[];
}

export interface IpList {
  readonly name: string;
  readonly include: readonly AddressPrefix[];
  readonly exclude: readonly AddressPrefix[];
}

/** One rule, ready to evaluate. */
export interface Rule {
  readonly id: string;
  /** Stable, never 0, never reused: assigned once per id. */
  readonly number: number;
  readonly name: string;
  readonly action: ActionSpec;
  readonly ports: readonly PortRange[];
  readonly providedBy: End;
  readonly usedBy: End;
  readonly inbound: boolean;
  readonly outbound: boolean;
  /** Both workloads have each of these dimensions, with one value. Does not touch ends that are IP lists or anyone. */
  readonly same: readonly string[];
  /** Both workloads have each of these dimensions, with two values. */
  readonly differs: readonly string[];
  /** Bits: 1 encrypted, 2 authenticated. */
  readonly constraints: number;
  readonly enabled: boolean;
  /** Unix milliseconds; undefined: never. From this instant on the rule does not exist. */
  readonly expiresMs: number | undefined;
  /** Id of the rule set it stands in; empty: none. */
  readonly ruleSet: string;
}

export interface ModeRule {
  readonly id: string;
  readonly selector: Selector;
  readonly inbound: boolean;
  readonly outbound: boolean;
  readonly mode: Mode;
  readonly priority: number;
}

export interface PolicyTest {
  readonly name: string;
  readonly from: TestEndSpec;
  readonly to: TestEndSpec;
  readonly protocol: number;
  readonly port: number;
  readonly expectAllowed: boolean;
}

/** A policy ready to evaluate and to compile. */
export interface Policy {
  /** By number, ascending. */
  readonly rules: readonly Rule[];
  /** By name. */
  readonly ipLists: ReadonlyMap<string, IpList>;
  readonly modes: readonly ModeRule[];
  readonly tests: readonly PolicyTest[];
}

/** The policy that holds nothing. */
export const EMPTY_POLICY: Policy = { rules: [], ipLists: new Map(), modes: [], tests: [] };

/** Gives rule ids their numbers. Persistent: one id has one number for ever, and no number serves two ids. */
export interface RuleNumbers {
  /** The number of this id, a new one (ascending from 1) when it has none yet. */
  numberOf(ruleId: string): number;
}

/** An error or warning with its place. Codes are stable: RF_POLICY_*. */
export interface PolicyProblem {
  readonly code: string;
  /** One sentence: Cannot <action> <object>: <found>, wanted <…>. */
  readonly message: string;
  /** As the caller named it; empty when the input was no file. */
  readonly file: string;
  /** 1-based; 0: no place. */
  readonly line: number;
  readonly column: number;
  /** The offending text, shortened. */
  readonly found: string;
  readonly wanted: string;
  readonly warning: boolean;
}
