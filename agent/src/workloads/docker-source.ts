// Containers of one Docker Engine: its event stream says when to look, a periodic look catches what the stream missed, and after
// a lost connection everything is looked at again. What was known stays in force while the Engine does not answer: containers
// run on without it.
import type Docker from 'dockerode';
import type { ContainerInspectInfo } from 'dockerode';
import { Backoff } from '../control/backoff.js';
import { codeOf, messageOf } from '../errors.js';
import type { Timers } from '../timers.js';
import type { PlaceFinder } from './container-place.js';
import { containerWorkload } from './docker-container.js';
import { type DockerNetwork, readNetwork } from './docker-networks.js';
import type { FoundWorkload, OnFound, WorkloadSource } from './found-workload.js';
import type { PairingKeyPlaces } from './pairing-key.js';

export interface DockerSourceOptions {
  readonly socketPath: string;
  readonly places: PlaceFinder;
  readonly pollMs: number;
  /** Where containers carry their pairing keys. */
  readonly pairingKeys: PairingKeyPlaces;
  readonly timers: Timers;
  readonly random: () => number;
  /** Networks were read: bridges may have come or gone. */
  readonly onNetworks?: () => void;
}

/** Container events after which something about it may have changed. */
const ACTIONS = [
  'create',
  'start',
  'die',
  'stop',
  'kill',
  'pause',
  'unpause',
  'destroy',
  'rename',
  'update',
  'restart',
];
/** Inspections asked for at once. */
const PARALLEL = 8;
/** A look that takes longer has failed. */
const ANSWER_MS = 15_000;

export class DockerSource implements WorkloadSource {
  readonly name: string;
  problem: string | undefined = 'not looked yet';
  readonly #options: DockerSourceOptions;
  readonly #backoff: Backoff;
  #docker: Docker | undefined;
  #networks = new Map<string, DockerNetwork>();
  /** Inspections by container, as long as what the list says of it stays the same. */
  #inspected = new Map<string, { key: string; info: ContainerInspectInfo }>();
  #onFound: OnFound = () => {};
  #looking = false;
  #again = false;
  #events: { destroy(): void } | undefined;
  #cancelTimer: (() => void) | undefined;
  #cancelSoon: (() => void) | undefined;
  #stopped = false;
  /** Engine version, once known. */
  version = '';

  constructor(options: DockerSourceOptions) {
    this.name = `docker:${options.socketPath}`;
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: 250, maxMs: 10_000 }, options.random);
  }

  start(onFound: OnFound): void {
    this.#onFound = onFound;
    void this.#connect();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#cancelSoon?.();
    this.#events?.destroy();
  }

  /** Space of an interface's addresses when it is a bridge of this Engine. */
  spaceOf(interfaceName: string, family: 4 | 6): string | undefined {
    for (const network of this.#networks.values()) {
      if (network.bridge === interfaceName) return family === 4 ? network.space4 : network.space6;
    }
    return undefined;
  }

  /** The key in a file inside a container is read at every look; what the Engine says of these is asked for anew. */
  async lookAgain(localIds: ReadonlySet<string>): Promise<void> {
    for (const id of [...this.#inspected.keys()]) if (localIds.has(`container:${id}`)) this.#inspected.delete(id);
    await this.#look();
  }

  async #connect(): Promise<void> {
    try {
      this.#docker ??= await openDocker(this.#options.socketPath);
      this.version = (await this.#docker.version()).Version;
      // Subscribed before the first look, so that nothing falls between the two.
      const stream = await this.#docker.getEvents({ filters: { type: ['container', 'network'] } });
      if (this.#stopped) return;
      this.#listen(stream);
      await this.#look();
      if (this.problem === undefined) this.#backoff.reset();
      this.#poll();
    } catch (error) {
      this.#lost(error);
    }
  }

  #listen(stream: NodeJS.ReadableStream): void {
    let rest = '';
    const destroyable = stream as NodeJS.ReadableStream & { destroy(): void };
    this.#events = destroyable;
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = (lines.pop() ?? '').slice(-65_536);
      if (lines.some(concerns)) this.#lookSoon();
    });
    const ended = (error?: Error) => {
      if (this.#events !== destroyable) return;
      this.#events = undefined;
      this.#lost(error ?? new Error('the event stream ended'));
    };
    stream.on('error', ended);
    stream.on('close', () => ended());
    stream.on('end', () => ended());
  }

  #lost(error: unknown): void {
    if (this.#stopped) return;
    this.#events?.destroy();
    this.#events = undefined;
    const found = `${codeOf(error, '')} ${messageOf(error)}`.trim();
    this.problem = `Cannot watch Docker at ${this.#options.socketPath}: ${found}, wanted an answering Engine`;
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.timers.after(this.#backoff.nextMs(), () => void this.#connect());
  }

  /** The same, or a rejection when the Engine takes too long: one that hangs is as good as gone. */
  #answerOf<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#options.timers.after(ANSWER_MS, () => reject(new Error(`no answer within ${ANSWER_MS} ms`)));
      answer.then(resolve, reject).finally(cancel);
    });
  }

  #poll(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.timers.after(this.#options.pollMs, () => {
      void this.#look().then(() => {
        if (!this.#stopped && this.#events) this.#poll();
      });
    });
  }

  #lookSoon(): void {
    this.#cancelSoon ??= this.#options.timers.after(5, () => {
      this.#cancelSoon = undefined;
      void this.#look();
    });
  }

  /** One look at a time; one more when something changed meanwhile. */
  async #look(): Promise<void> {
    if (this.#looking) {
      this.#again = true;
      return;
    }
    this.#looking = true;
    try {
      do {
        this.#again = false;
        const found = await this.#lookOnce();
        if (this.#stopped) return;
        this.problem = undefined;
        this.#onFound(found);
      } while (this.#again);
    } catch (error) {
      this.#lost(error);
    } finally {
      this.#looking = false;
    }
  }

  async #lookOnce(): Promise<FoundWorkload[]> {
    const docker = this.#docker;
    if (!docker) return [];
    const engineMajor = Number.parseInt(this.version, 10) || 0;
    const networks = await this.#answerOf(docker.listNetworks());
    this.#networks = new Map(
      networks.flatMap((info) => {
        const network = readNetwork(info as Parameters<typeof readNetwork>[0], engineMajor);
        return [
          [info.Id, network],
          [info.Name, network],
        ] as const;
      }),
    );
    this.#options.onNetworks?.();
    const listed = await this.#answerOf(docker.listContainers({ filters: { status: ['running', 'paused'] } }));
    const inspected = new Map<string, { key: string; info: ContainerInspectInfo }>();
    const queue = [...listed];
    const worker = async () => {
      for (let entry = queue.pop(); entry; entry = queue.pop()) {
        // Status counts seconds ("Up 5 minutes"); everything else changes only with the container.
        const key = JSON.stringify({ ...entry, Status: undefined });
        const known = this.#inspected.get(entry.Id);
        const fresh =
          known?.key === key && processLives(known.info) ? known.info : await this.#answerOf(inspect(docker, entry.Id));
        if (fresh?.State.Running) inspected.set(entry.Id, { key, info: fresh });
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    this.#inspected = inspected;
    this.#options.places.refresh();
    return [...inspected.values()].flatMap(({ info }) => {
      const place = this.#options.places.find(info.State.Pid);
      return containerWorkload(info, this.#networks, place, this.name, this.#options.pairingKeys) ?? [];
    });
  }
}

/** dockerode is loaded by hosts that have Docker only. */
async function openDocker(socketPath: string): Promise<Docker> {
  const { default: Client } = await import('dockerode');
  return new Client({ socketPath, timeout: 0 });
}

/** undefined when it went away between the list and now. */
async function inspect(docker: Docker, id: string): Promise<ContainerInspectInfo | undefined> {
  try {
    return await docker.getContainer(id).inspect();
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'statusCode' in error && error.statusCode === 404)
      return undefined;
    throw error;
  }
}

/** A restarted container keeps its id and most of its list entry, and has another process. */
function processLives(info: ContainerInspectInfo): boolean {
  try {
    process.kill(info.State.Pid, 0);
    return true;
  } catch (error) {
    return codeOf(error, '') === 'EPERM';
  }
}

function concerns(line: string): boolean {
  try {
    const event = JSON.parse(line) as { Type?: string; Action?: string };
    if (event.Type === 'network') return true;
    return event.Type === 'container' && ACTIONS.includes(event.Action ?? '');
  } catch {
    return line.trim() !== '';
  }
}
