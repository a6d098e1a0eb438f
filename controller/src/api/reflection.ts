// gRPC reflection and health of the admin port.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';

/** Services of the admin port, as reflection and health name them. */
export const ADMIN_SERVICES = [
  'Workloads',
  'Labels',
  'Policy',
  'Flows',
  'Hosts',
  'NatMappings',
  'Spaces',
  'Tags',
  'Pairing',
  'Audit',
  'Status',
  'Web',
].map((name) => `ringfence.v1.${name}`);

type PackageDefinition = ConstructorParameters<typeof ReflectionService>[0];

/** Adds both to a server. Returns the switch for health. */
export function addReflectionAndHealth(server: Server): { setServing(serving: boolean): void } {
  const files = fileDescriptors(readFileSync(descriptorFile()));
  // The service reads nothing but the encoded files of a package definition.
  const definition = { ringfence: { fileDescriptorProtos: files } } as unknown as PackageDefinition;
  new ReflectionService(definition, { services: ADMIN_SERVICES }).addToServer(server);
  const names = ['', ...ADMIN_SERVICES];
  const health = new HealthImplementation(Object.fromEntries(names.map((name) => [name, 'NOT_SERVING'])));
  health.addToServer(server);
  return {
    setServing: (serving) => {
      for (const name of names) health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    },
  };
}

/** What `buf build` made of proto/. */
function descriptorFile(): string {
  return fileURLToPath(new URL('../../../proto/descriptor.binpb', import.meta.url));
}

/** The encoded files of an encoded FileDescriptorSet. */
export function fileDescriptors(set: Uint8Array): Buffer[] {
  const reader = new BinaryReader(set);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) files.push(Buffer.from(reader.bytes()));
    else reader.skip(wireType, field);
  }
  return files;
}
