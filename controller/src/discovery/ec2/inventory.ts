// What EC2 says of one region, as plain values: the shape between the SDK and the model. Absent things are empty.

export interface Ec2Instance {
  readonly id: string;
  readonly vpcId: string;
  readonly subnetId: string;
  readonly state: string;
  readonly privateDnsName: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Every private address of every interface, and the public one that EC2 translates it to. */
  readonly addresses: readonly { readonly privateIp: string; readonly publicIp: string }[];
  readonly ipv6: readonly string[];
}

export interface Ec2Vpc {
  readonly id: string;
  readonly cidrs: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
}

export interface Ec2Subnet {
  readonly id: string;
  readonly vpcId: string;
  readonly cidr: string;
}

export interface Ec2RouteTable {
  readonly vpcId: string;
  /** It counts for subnets that no other one names. */
  readonly main: boolean;
  readonly subnetIds: readonly string[];
  /** Default IPv4 route's NAT gateway. */
  readonly natGatewayId: string;
}

export interface Ec2NatGateway {
  readonly id: string;
  readonly state: string;
  readonly publicIps: readonly string[];
}

/** An Elastic IP that is given to a private address. */
export interface Ec2ElasticIp {
  readonly publicIp: string;
  readonly privateIp: string;
  readonly instanceId: string;
}

export interface Ec2Inventory {
  readonly vpcs: readonly Ec2Vpc[];
  readonly subnets: readonly Ec2Subnet[];
  readonly routeTables: readonly Ec2RouteTable[];
  readonly natGateways: readonly Ec2NatGateway[];
  readonly elasticIps: readonly Ec2ElasticIp[];
  readonly instances: readonly Ec2Instance[];
}
