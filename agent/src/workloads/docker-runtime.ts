// Docker's Engine as a container runtime, over its socket.
import type Docker from 'dockerode';
import type { ContainerInspectInfo } from 'dockerode';
import { codeOf } from '../errors.js';
import type { Timers } from '../timers.js';
import type { ContainerFacts, ContainerRuntime, RuntimeEvents } from './container-runtime.js';
import { containerFacts } from './docker-container.js';
import { type DockerNetwork, readNetwork } from './docker-networks.js';

export interface DockerRuntimeOptions {
  readonly socketPath: string;
  readonly timers: Timers;
  /** Networks were read: bridges may have come or gone. */
  readonly onNetworks?: (() => void) | undefined;
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

export class DockerRuntime implements ContainerRuntime {
  readonly name: string;
  readonly title: string;
  version = '';
  readonly #options: DockerRuntimeOptions;
  #docker: Docker | undefined;
  #networks = new Map<string, DockerNetwork>();
  /** Inspections by container, as long as what the list says of it stays the same. */
  #inspected = new Map<string, { key: string; info: ContainerInspectInfo }>();

  constructor(options: DockerRuntimeOptions) {
    this.name = `docker:${options.socketPath}`;
    this.title = `Docker at ${options.socketPath}`;
    this.#options = options;
  }

  spaceOf(interfaceName: string, family: 4 | 6): string | undefined {
    for (const network of this.#networks.values()) {
      if (network.bridge === interfaceName) return family === 4 ? network.space4 : network.space6;
    }
    return undefined;
  }

  forget(ids: ReadonlySet<string>): void {
    for (const id of ids) this.#inspected.delete(id);
  }

  async watch(events: RuntimeEvents): Promise<{ close(): void }> {
    this.#docker ??= await openDocker(this.#options.socketPath);
    this.version = (await this.#docker.version()).Version;
    const stream = await this.#docker.getEvents({ filters: { type: ['container', 'network'] } });
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = (lines.pop() ?? '').slice(-65_536);
      if (lines.some(concerns)) events.onChange();
    });
    const ended = (error?: Error) => events.onEnd(error ?? new Error('the event stream ended'));
    stream.on('error', ended);
    stream.on('close', () => ended());
    stream.on('end', () => ended());
    return { close: () => (stream as NodeJS.ReadableStream & { destroy(): void }).destroy() };
  }

  async list(): Promise<readonly ContainerFacts[]> {
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
    return [...inspected.values()].map(({ info }) => containerFacts(info, this.#networks));
  }

  /** The same, or a rejection when the Engine takes too long: one that hangs is as good as gone. */
  #answerOf<T>(answer: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const cancel = this.#options.timers.after(ANSWER_MS, () => reject(new Error(`no answer within ${ANSWER_MS} ms`)));
      answer.then(resolve, reject).finally(cancel);
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
