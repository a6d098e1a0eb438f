// The declared states of the state-chain test: each is a whole world, told as one step from the state before. Names say what
// the step is about; the test runs the chain in every order and cut.
import type { PolicyDocument, RuleSpec } from '../../policy/model.js';
import { EMPTY_DOCUMENT } from '../../policy/model.js';
import { address } from '../../policy/testing/generate.js';
import { type DestinationMapping, type SourceTranslation, type Space, SpaceTree } from '../../topology/spaces.js';
import type { CompilerWorkload } from '../types.js';

/** A world: what a compiler is told. */
export interface World {
  readonly document: PolicyDocument;
  readonly workloads: ReadonlyMap<string, CompilerWorkload>;
  readonly hosts: ReadonlySet<string>;
  readonly spaces: SpaceTree;
  readonly nowMs: number;
}

export const START: World = {
  document: EMPTY_DOCUMENT,
  workloads: new Map(),
  hosts: new Set(),
  spaces: SpaceTree.EMPTY,
  nowMs: Date.UTC(2030, 0, 1),
};

type Step = (world: World) => World;

const host =
  (...ids: string[]): Step =>
  (world) => ({ ...world, hosts: new Set([...world.hosts, ...ids]) });
const noHost =
  (id: string): Step =>
  (world) => ({ ...world, hosts: new Set([...world.hosts].filter((each) => each !== id)) });
const workload =
  (
    id: string,
    labels: Record<string, string>,
    hostId: string,
    addresses: string[],
    more: Partial<CompilerWorkload> = {},
  ): Step =>
  (world) => {
    const made: CompilerWorkload = {
      id,
      labels,
      hostId,
      localId: hostId === '' ? '' : `container:${id}`,
      addresses: addresses.map((text) => {
        const [space, plain] = text.includes('@') ? text.split('@') : ['', text];
        return { space: space ?? '', address: address(plain ?? '') };
      }),
      isolated: false,
      reject: true,
      ...more,
    };
    return { ...world, workloads: new Map([...world.workloads, [id, made]]) };
  };
const gone =
  (...ids: string[]): Step =>
  (world) => ({ ...world, workloads: new Map([...world.workloads].filter(([id]) => !ids.includes(id))) });
const policy =
  (change: Partial<PolicyDocument>): Step =>
  (world) => ({ ...world, document: { ...world.document, ...change } });
const rule =
  (spec: RuleSpec): Step =>
  (world) =>
    policy({ rules: [...world.document.rules.filter(({ id }) => id !== spec.id), spec] })(world);
const noRule =
  (id: string): Step =>
  (world) =>
    policy({ rules: world.document.rules.filter((each) => each.id !== id) })(world);
const space = (name: string, more: Partial<Space> = {}): Space => ({
  name,
  parent: '',
  hosts: [],
  networks: [],
  sources: [],
  destinations: [],
  ...more,
});
const spaces =
  (...declared: Space[]): Step =>
  (world) => ({ ...world, spaces: new SpaceTree(declared) });
/** Everybody leaves behind this address. */
const behind = (text: string): SourceTranslation => ({ kind: 'shared', addresses: [address(text)] });
const mapped = (from: string, port: number, to: string, toPort: number): DestinationMapping => ({
  protocol: 6,
  address: address(from),
  port,
  to: address(to),
  toPort,
});
const within = (text: string, length: number) => ({ address: address(text), length: 96 + length });
const later =
  (days: number): Step =>
  (world) => ({ ...world, nowMs: world.nowMs + days * 86_400_000 });

const webDb: RuleSpec = { id: 'web-db', service: ['tcp/5432'], providedBy: 'role=db', usedBy: 'role=web' };
const office = { name: 'office', include: ['10.0.0.0/8', '2001:db8::/32'] };

/** In order; at least 40. */
export const STEPS: readonly (readonly [name: string, step: Step])[] = [
  ['a host without anything', host('h1')],
  ['a workload without policy', workload('web1', { role: 'web', env: 'prod' }, 'h1', ['10.0.0.1'])],
  [
    'a second host with a database',
    (w) => workload('db1', { role: 'db', env: 'prod' }, 'h2', ['10.0.0.2'])(host('h2')(w)),
  ],
  ['the first rule', rule(webDb)],
  ['the rule gets another port', rule({ ...webDb, service: ['tcp/5433'] })],
  ['the rule becomes a deny', rule({ ...webDb, action: 'deny' })],
  ['the rule allows again', rule(webDb)],
  ['a twin of web1 on the other host', workload('web2', { role: 'web', env: 'prod' }, 'h2', ['10.0.0.3'])],
  ['a web workload with another irrelevant label', workload('web3', { role: 'web', env: 'test' }, 'h1', ['10.0.0.4'])],
  [
    'a rule makes env relevant',
    rule({ id: 'prod-ssh', service: ['tcp/22'], providedBy: 'env=prod', usedBy: 'env=prod' }),
  ],
  ['web3 moves to production', workload('web3', { role: 'web', env: 'prod' }, 'h1', ['10.0.0.4'])],
  ['web3 loses its role', workload('web3', { env: 'prod' }, 'h1', ['10.0.0.4'])],
  ['web3 gets two addresses', workload('web3', { env: 'prod', role: 'web' }, 'h1', ['10.0.0.4', '2001:db8::4'])],
  ['web3 shares an address with db1', workload('web3', { env: 'prod', role: 'web' }, 'h1', ['10.0.0.4', '10.0.0.2'])],
  ['db1 leaves the shared address', workload('db1', { role: 'db', env: 'prod' }, 'h2', ['10.0.0.22'])],
  [
    'a local address hides a routed one',
    workload('cache1', { role: 'cache', env: 'prod' }, 'h1', ['local:bridge@10.0.0.22', '10.0.0.5']),
  ],
  [
    'the same local address on the other host',
    workload('cache2', { role: 'cache', env: 'test' }, 'h2', ['local:bridge@10.0.0.22']),
  ],
  [
    'a rule for everybody known',
    rule({ id: 'ping', service: ['icmp/8'], providedBy: 'workloads', usedBy: 'workloads' }),
  ],
  ['a rule for anyone', rule({ id: 'http', service: ['tcp/80'], providedBy: 'role=web', usedBy: 'anyone' })],
  [
    'an IP list and a rule for it',
    (w) =>
      rule({ id: 'office', service: ['tcp/443'], providedBy: 'role=web', usedBy: { ipList: 'office' } })(
        policy({ ipLists: [office] })(w),
      ),
  ],
  ['the list gets an exclusion', policy({ ipLists: [{ ...office, exclude: ['10.9.0.0/16'] }] })],
  [
    'an overlapping list that denies',
    (w) =>
      rule({ id: 'lab', action: 'deny', service: ['any'], providedBy: 'role=web', usedBy: { ipList: 'lab' } })(
        policy({ ipLists: [...w.document.ipLists, { name: 'lab', include: ['10.1.0.0/16'] }] })(w),
      ),
  ],
  [
    'a list that no rule uses',
    (w) => policy({ ipLists: [...w.document.ipLists, { name: 'spare', include: ['192.0.2.0/24'] }] })(w),
  ],
  [
    'same app may talk',
    rule({ id: 'same-app', service: ['any'], providedBy: 'workloads', usedBy: 'workloads', same: ['app'] }),
  ],
  ['web1 joins an app', workload('web1', { role: 'web', env: 'prod', app: 'shop' }, 'h1', ['10.0.0.1'])],
  ['db1 joins the same app', workload('db1', { role: 'db', env: 'prod', app: 'shop' }, 'h2', ['10.0.0.22'])],
  ['web2 joins another app', workload('web2', { role: 'web', env: 'prod', app: 'mail' }, 'h2', ['10.0.0.3'])],
  [
    'environments are kept apart',
    rule({
      id: 'apart',
      action: 'deny',
      service: ['any'],
      providedBy: { label: 'env', exists: true },
      usedBy: { label: 'env', exists: true },
      differs: ['env'],
    }),
  ],
  ['db1 moves to test', workload('db1', { role: 'db', env: 'test', app: 'shop' }, 'h2', ['10.0.0.22'])],
  ['production is enforced', policy({ modes: [{ id: 'prod', match: 'env=prod', mode: 'enforce' }] })],
  [
    'web in test mode inbound',
    (w) =>
      policy({
        modes: [...w.document.modes, { id: 'web', match: 'role=web', mode: 'test', direction: 'inbound', priority: 1 }],
      })(w),
  ],
  [
    'a workload by its id',
    rule({ id: 'backup', service: ['tcp/873'], providedBy: { workload: 'nas' }, usedBy: 'role=db' }),
  ],
  ['that workload appears, unmanaged', workload('nas', { role: 'storage' }, '', ['10.0.0.9'])],
  ['it gets an agent', workload('nas', { role: 'storage' }, 'h2', ['10.0.0.9'])],
  ['its twin by labels appears', workload('nas2', { role: 'storage' }, 'h2', ['10.0.0.10'])],
  [
    'web1 is quarantined',
    workload('web1', { role: 'web', env: 'prod', app: 'shop' }, 'h1', ['10.0.0.1'], { isolated: true }),
  ],
  ['web1 moves to the other host', workload('web1', { role: 'web', env: 'prod', app: 'shop' }, 'h2', ['10.0.0.1'])],
  ['a host goes', noHost('h2')],
  ['it comes back', host('h2')],
  [
    'an outbound-only rule',
    rule({
      id: 'dns',
      service: ['udp/53', 'tcp/53'],
      providedBy: { ipList: 'office' },
      usedBy: 'workloads',
      direction: 'outbound',
    }),
  ],
  [
    'a rule that expires soon',
    rule({
      id: 'today',
      service: ['tcp/9000-9010'],
      providedBy: 'role=db',
      usedBy: 'anyone',
      expires: '2030-01-02T00:00:00Z',
    }),
  ],
  ['it expires', later(2)],
  [
    'a scope',
    policy({
      ruleSets: [
        {
          id: 'shop',
          scope: ['app=shop', 'env'],
          rules: [
            {
              id: 'shop-db',
              service: ['tcp/5432'],
              providedBy: 'role=db',
              usedBy: { any: ['role=web', { ipList: 'lab' }] },
            },
          ],
        },
      ],
    }),
  ],
  [
    'the scope is switched off',
    (w) => policy({ ruleSets: w.document.ruleSets.map((set) => ({ ...set, enabled: false })) })(w),
  ],
  ['the rule for env goes', (w) => noRule('prod-ssh')(w)],
  [
    'the office list goes with its rules',
    (w) =>
      policy({ ipLists: w.document.ipLists.filter(({ name }) => name !== 'office') })(
        noRule('office')(noRule('dns')(w)),
      ),
  ],
  [
    'a container behind its host, with a published port, before anybody knows the host',
    workload('db2', { role: 'db', env: 'prod', app: 'shop' }, 'h2', ['local:bridge@172.17.0.2'], {
      published: [{ protocol: 6, address: address('0.0.0.0'), hostPort: 8080, port: 5432 }],
    }),
  ],
  [
    'its host appears',
    workload('h2/host', { role: 'web', env: 'prod' }, 'h2', ['192.0.2.2', 'local:bridge@172.17.0.1'], {
      localId: 'host',
    }),
  ],
  [
    'another one behind the same host publishes the same port',
    workload('db3', { role: 'cache', app: 'shop' }, 'h2', ['local:bridge@172.17.0.3'], {
      published: [{ protocol: 6, address: undefined, hostPort: 8080, port: 80 }],
    }),
  ],
  [
    'the host gets another address',
    workload('h2/host', { role: 'web', env: 'prod' }, 'h2', ['192.0.2.9', 'local:bridge@172.17.0.1'], {
      localId: 'host',
    }),
  ],
  ['the second host stands in a space of its own', spaces(space('site', { hosts: ['h2'] }))],
  ['its gateway shares one address', spaces(space('site', { hosts: ['h2'], sources: [behind('198.51.100.1')] }))],
  ['it shares another one', spaces(space('site', { hosts: ['h2'], sources: [behind('198.51.100.2')] }))],
  [
    'the gateway maps a port to the host, whose published port it is',
    spaces(
      space('site', {
        hosts: ['h2'],
        sources: [behind('198.51.100.2')],
        destinations: [mapped('198.51.100.2', 80, '192.0.2.9', 8080)],
      }),
    ),
  ],
  [
    'a machine without an agent in the space has the address of one outside, and hides it from those inside',
    workload('printer', { role: 'printer' }, '', ['site@10.0.0.1']),
  ],
  ['web1 outside is one whom the hidden host may ask for', workload('web1', { role: 'web' }, 'h1', ['10.0.0.1'])],
  ['the machine goes', gone('printer')],
  ['and comes back as a web server', workload('printer', { role: 'web' }, '', ['site@10.0.0.1'])],
  [
    'the first host stands in a network inside the site, translated one to one',
    spaces(
      space('site', { hosts: ['h2'], sources: [behind('198.51.100.2')] }),
      space('net', {
        parent: 'site',
        hosts: ['h1'],
        sources: [{ kind: 'one-to-one', inside: within('10.0.0.0', 24), outside: within('10.77.0.0', 24) }],
      }),
    ),
  ],
  [
    'the network hangs below the world instead',
    spaces(
      space('site', { hosts: ['h2'], sources: [behind('198.51.100.2')] }),
      space('net', { hosts: ['h1'], sources: [behind('203.0.113.77')] }),
    ),
  ],
  ['both hosts stand in one space', spaces(space('site', { hosts: ['h1', 'h2'], sources: [behind('198.51.100.2')] }))],
  ['it translates nothing any more', spaces(space('site', { hosts: ['h1', 'h2'] }))],
  ['the space is gone, the machine in it is nowhere', spaces()],
  ['the first one publishes no more', workload('db2', { role: 'db' }, 'h2', ['local:bridge@172.17.0.2'])],
  ['nobody is behind the host any more', gone('db2', 'db3')],
  ['two workloads go', gone('web2', 'cache1', 'h2/host')],
  ['anyone leaves the policy', noRule('http')],
  ['all rules go', policy({ rules: [], ruleSets: [] })],
  ['everything goes', () => ({ ...START, nowMs: START.nowMs + 2 * 86_400_000 })],
];

/** The states themselves. */
export const STATES: readonly World[] = statesOf(STEPS);

function statesOf(steps: typeof STEPS): World[] {
  const states: World[] = [];
  for (const [, step] of steps) states.push(step(states.at(-1) ?? START));
  return states;
}
