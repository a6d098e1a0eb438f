// A Docker Engine as far as the agent asks it, over a real unix socket: version, list, inspect, networks, and an event stream that
// a test can feed, cut and refuse.
import { createServer, type Server, type ServerResponse } from 'node:http';

export interface FakeContainer {
  id: string;
  name: string;
  pid: number;
  state?: 'running' | 'paused' | 'exited';
  mode?: string;
  labels?: Record<string, string>;
  image?: string;
  /** Network name → addresses. */
  networks?: Record<string, { ip?: string; ip6?: string }>;
  /** "80/tcp" → host bindings. */
  ports?: Record<string, { HostIp: string; HostPort: string }[] | null>;
}

export interface FakeNetwork {
  Name: string;
  Id: string;
  Driver: string;
  Options: Record<string, string>;
}

export class FakeEngine {
  containers: FakeContainer[] = [];
  networks: FakeNetwork[] = [
    {
      Name: 'bridge',
      Id: 'b'.repeat(64),
      Driver: 'bridge',
      Options: {
        'com.docker.network.bridge.name': 'docker0',
        'com.docker.network.bridge.enable_ip_masquerade': 'true',
      },
    },
  ];
  version = '20.10.24';
  /** Paths asked for. */
  asked: string[] = [];
  readonly #server: Server;
  readonly #streams = new Set<ServerResponse>();

  private constructor(readonly socketPath: string) {
    this.#server = createServer((request, response) => this.#answer(request.url ?? '', response));
  }

  static async listen(socketPath: string): Promise<FakeEngine> {
    const engine = new FakeEngine(socketPath);
    await new Promise<void>((resolve) => engine.#server.listen(socketPath, resolve));
    return engine;
  }

  /** Event streams open now. */
  get streams(): number {
    return this.#streams.size;
  }

  event(Type: string, Action: string): void {
    for (const stream of this.#streams) stream.write(`${JSON.stringify({ Type, Action })}\n`);
  }

  /** The Engine goes away: connections are cut and refused. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(url: string, response: ServerResponse): void {
    this.asked.push(url);
    const path = url.replace(/^\/v[0-9.]+/, '').split('?')[0] ?? '';
    const json = (value: unknown, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (path === '/version') json({ Version: this.version });
    else if (path === '/networks') json(this.networks);
    else if (path === '/events') {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      this.#streams.add(response);
      response.on('close', () => this.#streams.delete(response));
    } else if (path === '/containers/json') json(this.containers.filter((c) => c.state !== 'exited').map(listEntry));
    else {
      const id = /^\/containers\/([^/]+)\/json$/.exec(path)?.[1];
      const container = this.containers.find((c) => c.id === id);
      if (container) json(inspection(container));
      else json({ message: 'No such container' }, 404);
    }
  }
}

function networksOf(c: FakeContainer) {
  return Object.fromEntries(
    Object.entries(c.networks ?? {}).map(([name, { ip = '', ip6 = '' }]) => [
      name,
      { IPAddress: ip, GlobalIPv6Address: ip6, NetworkID: '' },
    ]),
  );
}

function listEntry(c: FakeContainer) {
  return {
    Id: c.id,
    Names: [`/${c.name}`],
    State: c.state ?? 'running',
    Status: `Up ${Math.random()} seconds`,
    Labels: c.labels ?? {},
    NetworkSettings: { Networks: networksOf(c) },
  };
}

function inspection(c: FakeContainer) {
  return {
    Id: c.id,
    Name: `/${c.name}`,
    State: { Running: c.state !== 'exited', Paused: c.state === 'paused', Pid: c.pid },
    Config: { Image: c.image ?? 'busybox', Labels: c.labels ?? {} },
    HostConfig: { NetworkMode: c.mode ?? 'default' },
    NetworkSettings: { Networks: networksOf(c), Ports: c.ports ?? {} },
  };
}
