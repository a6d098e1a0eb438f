// EC2 through the AWS SDK, which is loaded only when a connector is configured. Credentials come from the SDK's own chain (environment, shared
// files, container and instance roles) and stay inside it: nothing here reads, keeps or logs them.
import type { EC2Client, Tag } from '@aws-sdk/client-ec2';
import { ConnectorError, type DiscoverySource } from '../connector.js';
import type { Findings } from '../findings.js';
import { type Ec2FindingsOptions, ec2Findings, type KnownHost } from './findings.js';
import type { Ec2Inventory } from './inventory.js';

export interface Ec2SourceOptions extends Ec2FindingsOptions {
  readonly region: string;
  /** Another endpoint than the region's public one: a VPC endpoint, or a test. */
  readonly endpoint?: string | undefined;
  /** Tries of one call; the SDK waits between them as EC2's throttling asks. */
  readonly attempts: number;
  /** Hosts with agents, asked at each look. */
  readonly hosts: () => readonly KnownHost[];
}

/** Results of one page; EC2's most. */
const PAGE = 1000;
/** Beyond this something is wrong with the region, or with us. */
const RESULTS_MAX = 200_000;
const REQUEST_MS = 30_000;
const CONNECT_MS = 5000;

export class Ec2Source implements DiscoverySource {
  readonly name: string;
  readonly #options: Ec2SourceOptions;
  #client: EC2Client | undefined;

  constructor(options: Ec2SourceOptions) {
    this.name = options.name;
    this.#options = options;
  }

  async look(signal: AbortSignal): Promise<Findings> {
    const sdk = await loadSdk();
    this.#client ??= new sdk.EC2Client({
      region: this.#options.region,
      maxAttempts: this.#options.attempts,
      requestHandler: { requestTimeout: REQUEST_MS, connectionTimeout: CONNECT_MS },
      ...(this.#options.endpoint !== undefined && { endpoint: this.#options.endpoint }),
    });
    try {
      return ec2Findings(await readRegion(sdk, this.#client, signal), this.#options.hosts(), this.#options);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** In words, without what an SDK error may carry along: requests, headers, responses. */
  #explained(error: unknown): ConnectorError {
    if (error instanceof ConnectorError) return error;
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    const code = /credential|token|AuthFailure|Unauthorized|AccessDenied|SignatureDoesNotMatch/i.test(name)
      ? 'RF_CONNECTOR_CREDENTIALS'
      : 'RF_CONNECTOR_EC2';
    return new ConnectorError(
      code,
      `Cannot look at EC2 in ${this.#options.region}: found ${name} (${message.slice(0, 300)}), wanted its inventory`,
      { cause: error },
    );
  }
}

type Sdk = typeof import('@aws-sdk/client-ec2');

async function loadSdk(): Promise<Sdk> {
  try {
    return await import('@aws-sdk/client-ec2');
  } catch (error) {
    throw new ConnectorError(
      'RF_CONNECTOR_SDK',
      'Cannot use EC2: found no @aws-sdk/client-ec2, wanted it installed (it is an optional dependency). Next: npm install',
      { cause: error },
    );
  }
}

async function readRegion(sdk: Sdk, client: EC2Client, abortSignal: AbortSignal): Promise<Ec2Inventory> {
  const page = { client, pageSize: PAGE };
  const send = { abortSignal };
  const all = async <P, T>(pages: AsyncIterable<P>, pick: (page: P) => readonly T[] | undefined): Promise<T[]> => {
    const list: T[] = [];
    for await (const each of pages) {
      abortSignal.throwIfAborted();
      list.push(...(pick(each) ?? []));
      if (list.length > RESULTS_MAX)
        throw new ConnectorError(
          'RF_CONNECTOR_SIZE',
          `Cannot look at EC2: found more than ${RESULTS_MAX} results of one kind`,
        );
    }
    return list;
  };
  // One after the other: EC2 counts calls, and a look has time.
  const vpcs = await all(sdk.paginateDescribeVpcs(page, {}, send), ({ Vpcs }) => Vpcs);
  const subnets = await all(sdk.paginateDescribeSubnets(page, {}, send), ({ Subnets }) => Subnets);
  const tables = await all(
    sdk.paginateDescribeRouteTables({ client, pageSize: 100 }, {}, send),
    ({ RouteTables }) => RouteTables,
  );
  const gateways = await all(sdk.paginateDescribeNatGateways(page, {}, send), ({ NatGateways }) => NatGateways);
  const reservations = await all(sdk.paginateDescribeInstances(page, {}, send), ({ Reservations }) => Reservations);
  const { Addresses: elastic = [] } = await client.send(new sdk.DescribeAddressesCommand({}), send);
  return {
    vpcs: vpcs.map(({ VpcId = '', CidrBlock = '', CidrBlockAssociationSet, Tags }) => {
      const blocks = (CidrBlockAssociationSet ?? [])
        .filter(({ CidrBlockState }) => CidrBlockState?.State === 'associated')
        .map((block) => block.CidrBlock ?? '');
      return {
        id: VpcId,
        cidrs: [...new Set([CidrBlock, ...blocks])].filter((cidr) => cidr !== ''),
        tags: tagsOf(Tags),
      };
    }),
    subnets: subnets.map(({ SubnetId = '', VpcId = '', CidrBlock = '' }) => ({
      id: SubnetId,
      vpcId: VpcId,
      cidr: CidrBlock,
    })),
    routeTables: tables.map(({ VpcId = '', Associations = [], Routes = [] }) => ({
      vpcId: VpcId,
      main: Associations.some(({ Main }) => Main === true),
      subnetIds: Associations.flatMap(({ SubnetId }) => SubnetId ?? []),
      natGatewayId:
        Routes.find(({ DestinationCidrBlock, State }) => DestinationCidrBlock === '0.0.0.0/0' && State !== 'blackhole')
          ?.NatGatewayId ?? '',
    })),
    natGateways: gateways.map(({ NatGatewayId = '', State = '', NatGatewayAddresses = [] }) => ({
      id: NatGatewayId,
      state: State,
      publicIps: NatGatewayAddresses.flatMap(({ PublicIp }) => PublicIp ?? []),
    })),
    elasticIps: elastic.flatMap(({ PublicIp, PrivateIpAddress, InstanceId }) =>
      PublicIp === undefined || PrivateIpAddress === undefined || InstanceId === undefined
        ? []
        : [{ publicIp: PublicIp, privateIp: PrivateIpAddress, instanceId: InstanceId }],
    ),
    instances: reservations
      .flatMap(({ Instances }) => Instances ?? [])
      .map((instance) => ({
        id: instance.InstanceId ?? '',
        vpcId: instance.VpcId ?? '',
        subnetId: instance.SubnetId ?? '',
        state: instance.State?.Name ?? '',
        privateDnsName: instance.PrivateDnsName ?? '',
        tags: tagsOf(instance.Tags),
        addresses: (instance.NetworkInterfaces ?? []).flatMap(({ PrivateIpAddresses = [] }) =>
          PrivateIpAddresses.flatMap(({ PrivateIpAddress, Association }) =>
            PrivateIpAddress === undefined
              ? []
              : [{ privateIp: PrivateIpAddress, publicIp: Association?.PublicIp ?? '' }],
          ),
        ),
        ipv6: (instance.NetworkInterfaces ?? []).flatMap(({ Ipv6Addresses = [] }) =>
          Ipv6Addresses.flatMap(({ Ipv6Address }) => Ipv6Address ?? []),
        ),
      })),
  };
}

function tagsOf(tags: readonly Tag[] | undefined): Record<string, string> {
  return Object.fromEntries((tags ?? []).flatMap(({ Key, Value }) => (Key === undefined ? [] : [[Key, Value ?? '']])));
}
