// What the page may call: methods of the admin API by their path, with the very functions that gRPC calls.
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

/** One method as the bridge calls it. */
export interface PageMethod {
  readonly path: string;
  readonly streams: boolean;
  /** Throws when the bytes are no such request. */
  readonly readRequest: (bytes: Buffer) => unknown;
  readonly writeResponse: (message: unknown) => Buffer;
  /** (call, callback) for one answer, (call) for a stream. */
  readonly handler: (...args: unknown[]) => void;
}

/** Not on the list: what writes files on the controller's machine, what other orchestrators push, and what makes links. */
const ALLOWED: Readonly<Record<string, ReadonlySet<string>>> = {
  Status: new Set(['Get']),
  Flows: new Set(['Query', 'Follow', 'Graph', 'Timeline']),
  Workloads: new Set(['List', 'Get', 'Match', 'Memberships', 'SetLabels', 'Create', 'Update', 'Delete', 'Watch']),
  Labels: new Set(['ListDimensions', 'ListIdentities']),
  Hosts: new Set(['List', 'Get', 'Set', 'CreateToken', 'ListTokens', 'RevokeToken', 'RevokeCertificate', 'Remove']),
  Policy: new Set([
    'Apply',
    'Check',
    'Get',
    'Diff',
    'Provision',
    'Rollback',
    'Confirm',
    'Promote',
    'Return',
    'DiscardDraft',
    'History',
    'Explain',
    'Lint',
    'Test',
    'Simulate',
  ]),
  Pairing: new Set([
    'ListProfiles',
    'GetProfile',
    'SaveProfile',
    'DeleteProfile',
    'CreateKey',
    'ListKeys',
    'RevokeKey',
    'ListPairings',
    'Quarantine',
    'ListQuarantines',
    'ReleaseQuarantine',
  ]),
  Spaces: new Set(['List', 'Path']),
  Tags: new Set(['GetTags']),
  Audit: new Set(['List', 'Follow']),
  Web: new Set(['ListSessions', 'EndSessions']),
};

const PATH = /^\/ringfence\.v1\.([A-Za-z]+)\/([A-Za-z]+)$/;

export class PageMethods {
  readonly #methods = new Map<string, PageMethod>();

  /** Offers what the page may call of a service. */
  add(definition: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    for (const [name, method] of Object.entries(definition)) {
      const [, service = '', called = ''] = PATH.exec(method.path) ?? [];
      const handler = implementation[name];
      if (!ALLOWED[service]?.has(called) || method.requestStream || handler === undefined) continue;
      this.#methods.set(method.path, {
        path: method.path,
        streams: method.responseStream,
        readRequest: method.requestDeserialize,
        writeResponse: method.responseSerialize as (message: unknown) => Buffer,
        handler: handler as unknown as PageMethod['handler'],
      });
    }
  }

  /** By its path, "/ringfence.v1.Flows/Graph"; undefined when the page may not call it. */
  get(path: string): PageMethod | undefined {
    return this.#methods.get(path);
  }

  get paths(): string[] {
    return [...this.#methods.keys()].sort();
  }
}
