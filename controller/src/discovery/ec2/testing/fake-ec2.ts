// An EC2 that answers on loopback as the real one does: Query protocol, XML, pages by NextToken, errors and throttling in their wire form. It
// refuses requests that are not signed (Signature Version 4) with the expected key, region and service.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** XML by hand: a list becomes <item>s. */
export type Xml = string | number | boolean | readonly Xml[] | { readonly [name: string]: Xml };

/** What one action lists: the name of its set, and the items. */
export type Region = Readonly<Record<string, { readonly set: string; readonly items: readonly Xml[] }>>;

export interface Failure {
  readonly action: string;
  readonly status: number;
  readonly code: string;
  times: number;
}

const NAMESPACE = 'http://ec2.amazonaws.com/doc/2016-11-15/';

export class FakeEc2 {
  /** Actions in the order in which they were asked for, with their page's token. */
  readonly calls: string[] = [];
  readonly failures: Failure[] = [];
  /** Actions that are never answered. */
  readonly silent = new Set<string>();
  region: Region = {};
  /** Items on one page. */
  pageSize = 1000;
  readonly #server: Server;
  readonly #scope: RegExp;

  private constructor(accessKey: string, region: string) {
    this.#scope = new RegExp(
      `^AWS4-HMAC-SHA256 Credential=${accessKey}/\\d{8}/${region}/ec2/aws4_request, .*Signature=[0-9a-f]{64}$`,
    );
    this.#server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8');
      request.on('data', (chunk: string) => {
        body += chunk;
      });
      request.on('end', () => {
        if (this.silent.has(new URLSearchParams(body).get('Action') ?? '')) return;
        const { status, text } = this.#answer(new URLSearchParams(body), request.headers.authorization ?? '');
        response.writeHead(status, { 'content-type': 'text/xml;charset=UTF-8' }).end(text);
      });
    });
  }

  static async start(accessKey: string, region: string): Promise<FakeEc2> {
    const fake = new FakeEc2(accessKey, region);
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(form: URLSearchParams, authorization: string): { status: number; text: string } {
    const action = form.get('Action') ?? '';
    const token = form.get('NextToken') ?? '';
    this.calls.push(`${action}${token === '' ? '' : ` ${token}`}`);
    const failure = this.failures.find((each) => each.action === action && each.times > 0);
    if (failure !== undefined) {
      failure.times -= 1;
      return { status: failure.status, text: failed(failure.code) };
    }
    if (form.get('Version') !== '2016-11-15') return { status: 400, text: failed('NoSuchVersion') };
    if (!this.#scope.test(authorization)) return { status: 401, text: failed('AuthFailure') };
    const { set, items } = this.region[action] ?? { set: '', items: [] };
    if (set === '') return { status: 400, text: failed('InvalidAction') };
    const from = token === '' ? 0 : Number(token.replace('page-', ''));
    const most = Math.min(this.pageSize, Number(form.get('MaxResults') ?? this.pageSize));
    const rest = from + most < items.length ? `<nextToken>page-${from + most}</nextToken>` : '';
    const list = xml({ [set]: items.slice(from, from + most) });
    return {
      status: 200,
      text: `<?xml version="1.0" encoding="UTF-8"?>\n<${action}Response xmlns="${NAMESPACE}"><requestId>req-1</requestId>${list}${rest}</${action}Response>`,
    };
  }
}

function failed(code: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>${code}</Code><Message>${code} of the fake</Message></Error></Errors><RequestID>req-2</RequestID></Response>`;
}

function xml(value: Xml): string {
  if (Array.isArray(value)) return value.map((each) => `<item>${xml(each)}</item>`).join('');
  if (typeof value === 'object')
    return Object.entries(value)
      .map(([name, each]) => `<${name}>${xml(each)}</${name}>`)
      .join('');
  return String(value).replace(/&/g, '&amp;').replace(/</g, '&lt;');
}

/** Tags as EC2 lists them. */
export function tagSet(tags: Readonly<Record<string, string>>): Xml {
  return Object.entries(tags).map(([key, value]) => ({ key, value }));
}

/** A running instance with one interface. */
export function instance(
  id: string,
  vpcId: string,
  subnetId: string,
  privateIp: string,
  more: { publicIp?: string; ipv6?: string; tags?: Record<string, string>; state?: string } = {},
): Xml {
  return {
    reservationId: `r-${id}`,
    instancesSet: [
      {
        instanceId: id,
        instanceState: { code: 16, name: more.state ?? 'running' },
        privateDnsName: `ip-${privateIp.replaceAll('.', '-')}.ec2.internal`,
        subnetId,
        vpcId,
        privateIpAddress: privateIp,
        networkInterfaceSet: [
          {
            networkInterfaceId: `eni-${id}`,
            privateIpAddressesSet: [
              {
                privateIpAddress: privateIp,
                primary: true,
                ...(more.publicIp !== undefined && { association: { publicIp: more.publicIp, ipOwnerId: 'amazon' } }),
              },
            ],
            ...(more.ipv6 !== undefined && { ipv6AddressesSet: [{ ipv6Address: more.ipv6 }] }),
          },
        ],
        tagSet: tagSet(more.tags ?? {}),
      },
    ],
  };
}
