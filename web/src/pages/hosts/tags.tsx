// In-band tags: whether callers behind shared addresses are told apart by a tag in their SYN, and what became of tags on a host.
import { Tags } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { type Resource, useResource } from '../../api/resource.js';
import type { HostTags, TagsState } from '../../gen/ringfence/v1/admin_tags_pb.js';
import { TagMode, type TagTallies } from '../../gen/ringfence/v1/agent_pb.js';
import { ago, count } from '../../ui/format.js';
import { Facts, Section } from '../../ui/side-panel.js';
import { Loaded } from '../../ui/states.js';

const EVERY_MS = 5000;

const MODES: Readonly<Record<TagMode, string>> = {
  [TagMode.OFF]: 'off',
  [TagMode.PEERS]: 'on, towards hosts with an agent',
  [TagMode.ANYWHERE]: 'on, towards everywhere',
};

/** In the order of a SYN's way. */
const TALLIES: readonly (readonly [keyof TagTallies & string, string])[] = [
  ['written', 'Written'],
  ['noRoom', 'No room in the SYN'],
  ['noKey', 'No key yet'],
  ['foreign', 'Taken from containers'],
  ['valid', 'Valid'],
  ['absent', 'Absent'],
  ['invalid', 'Invalid'],
  ['expired', 'Expired'],
  ['unknownEpoch', 'Unknown epoch'],
  ['replayed', 'Replayed'],
  ['notBehind', 'Not behind the address'],
];

export function useTags(): Resource<TagsState> {
  return useResource('tags', (signal) => call(Tags.method.getTags, {}, signal), { everyMs: EVERY_MS });
}

/** How tags stand in the fleet, in one line. */
export function TagsLine({ tags }: { readonly tags: Resource<TagsState> }) {
  const { data, error } = tags;
  if (data === undefined) return error === undefined ? null : <span class="muted">{error.message}</span>;
  const off = data.mode === TagMode.OFF;
  return (
    <span class="muted" role="status" title="ringfence tag set switches them (docs/nat.md)">
      In-band tags are {MODES[data.mode] ?? 'in a mode that this page does not know'}
      {!off && `; epoch ${data.epoch}, the next one ${ago(Number(data.nextFromMs), Date.now())}`}
    </span>
  );
}

/** What became of tags on one host, since its maps were made. */
export function HostTagsSection({ hostId, tags }: { readonly hostId: string; readonly tags: Resource<TagsState> }) {
  return (
    <Section title="In-band tags">
      <Loaded resource={tags} what="the tags">
        {({ mode, hosts }) => {
          const host = hosts.find((each) => each.hostId === hostId);
          if (host === undefined) return <p class="muted">It is not connected: what it counts is not known now.</p>;
          return (
            <>
              <p>{abilityOf(host, mode)}</p>
              <Facts rows={countsOf(host)} />
            </>
          );
        }}
      </Loaded>
    </Section>
  );
}

function abilityOf({ capable, writes }: HostTags, mode: TagMode): string {
  if (!capable) return 'Its agent knows no tags.';
  const told = writes
    ? 'It can write and read tags.'
    : 'It can read tags; its kernel does not take the program that writes them.';
  return mode === TagMode.OFF ? `${told} They are off.` : told;
}

function countsOf({ tallies }: HostTags): (readonly [string, string])[] {
  return TALLIES.flatMap(([name, words]) => {
    const n = Number(tallies?.[name] ?? 0n);
    return n === 0 ? [] : [[words, count(n)] as const];
  });
}
