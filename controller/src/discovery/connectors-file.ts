// Which connectors a controller runs: one YAML file, checked whole before anything starts. It holds no credentials and takes none.
import { z } from 'zod';
import { readYaml } from '../policy/yaml-source.js';

const name = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$/, 'found no name of 1 to 20 of a-z, 0-9, dash');
const text = z.string().min(1).max(255);

const ec2 = z.strictObject({
  /** Part of the names of its spaces and workloads. */
  name,
  region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'found no region such as eu-central-1'),
  /** A VPC endpoint, or a test's. */
  endpoint: z.url({ protocol: /^https?$/ }).optional(),
  intervalSeconds: z.int().min(10).max(86_400).default(60),
  /** Tries of one call. */
  attempts: z.int().min(1).max(10).default(5),
  /** Dimension to the tag that gives its value. */
  labels: z.record(z.string(), text).default({}),
  /** Where no tag says otherwise. */
  defaultLabels: z.record(z.string(), text).default({}),
  /** Only these; empty: all. */
  vpcs: z.array(z.string().regex(/^vpc-[0-9a-f]+$/, 'found no id such as vpc-0a1b2c')).default([]),
  /** Instances without an agent become workloads. */
  unmanaged: z.boolean().default(true),
});

const file = z.strictObject({ connectors: z.array(z.strictObject({ ec2 })).max(64) });

export type Ec2Connector = z.output<typeof ec2>;

export type ConnectorsFile =
  | { readonly connectors: readonly { readonly ec2: Ec2Connector }[]; readonly problems: readonly [] }
  | { readonly connectors: undefined; readonly problems: readonly string[] };

/** Reads one file. All problems at once, each "file:line:column code message". */
export function readConnectors(fileName: string, content: string): ConnectorsFile {
  const { documents, problems: syntax } = readYaml({ name: fileName, text: content });
  const [document] = documents;
  const problems = syntax.map(
    ({ message, line, column }) => `${fileName}:${line}:${column} RF_CONNECTORS_YAML ${message}`,
  );
  const read = file.safeParse(document?.value ?? { connectors: [] });
  if (problems.length > 0 || !read.success) {
    for (const issue of read.error?.issues ?? []) {
      const path = issue.path.filter((part) => typeof part !== 'symbol');
      const at = document?.locate(path);
      problems.push(
        `${fileName}:${at?.line ?? 0}:${at?.column ?? 0} RF_CONNECTORS_SHAPE Cannot read connectors at ${path.join('.') || 'the file'}: ${issue.message}`,
      );
    }
    return { connectors: undefined, problems };
  }
  const names = read.data.connectors.map((each) => each.ec2.name);
  const twice = names.find((each, at) => names.indexOf(each) !== at);
  if (twice !== undefined)
    return {
      connectors: undefined,
      problems: [
        `${fileName}:0:0 RF_CONNECTORS_SHAPE Cannot use connector ${twice}: found it twice, wanted each name once`,
      ],
    };
  return { connectors: read.data.connectors, problems: [] };
}
