// Everything about one host: how it stands, what its kernel can do and holds, what its flow path lost.
import { useState } from 'preact/hooks';
import { Hosts } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { type Resource, useResource } from '../../api/resource.js';
import type { Host } from '../../gen/ringfence/v1/admin_hosts_pb.js';
import type { TagsState } from '../../gen/ringfence/v1/admin_tags_pb.js';
import { linkTo } from '../../location.js';
import { Button } from '../../ui/controls.js';
import { address, ago, count, plural, time } from '../../ui/format.js';
import { Facts, Section, SidePanel } from '../../ui/side-panel.js';
import { Loaded } from '../../ui/states.js';
import { RemoveHostDialog, RevokeDialog, TreatmentDialog } from './actions.js';
import { compatibilityOf, furtherFeatures } from './compatibility.js';
import { HostMark, stateText, unpairedWord } from './state.js';
import { HostTagsSection } from './tags.js';

export function HostDetails({
  id,
  tags,
  onClose,
  onChanged,
}: {
  readonly id: string;
  readonly tags: Resource<TagsState>;
  readonly onClose: () => void;
  readonly onChanged: () => void;
}) {
  const found = useResource(`host ${id}`, (signal) => call(Hosts.method.get, { host: id }, signal), {
    everyMs: 5000,
    keep: false,
  });
  const [open, setOpen] = useState<'treatment' | 'revoke' | 'remove'>();
  const close = () => setOpen(undefined);
  const changed = () => {
    found.reload();
    onChanged();
  };
  const actions = found.data && (
    <>
      <a class="button small primary" {...linkTo('/workloads', { q: `host:${id}` })}>
        {plural(found.data.workloads, 'workload')}
      </a>
      <Button small onClick={() => setOpen('treatment')}>
        Unpaired containers
      </Button>
      {!found.data.revoked && (
        <Button small kind="danger" onClick={() => setOpen('revoke')}>
          Revoke certificates
        </Button>
      )}
      <Button small kind="danger" onClick={() => setOpen('remove')}>
        Remove host
      </Button>
    </>
  );
  return (
    <SidePanel kind="Host" title={id} onClose={onClose} actions={actions}>
      <Loaded resource={found} what="the host">
        {(host) => (
          <>
            <Body host={host} tags={tags} />
            {open === 'treatment' && <TreatmentDialog host={host} onClose={close} onDone={changed} />}
            {open === 'revoke' && <RevokeDialog host={host} onClose={close} onDone={changed} />}
            {open === 'remove' && (
              <RemoveHostDialog
                host={host}
                onClose={close}
                onDone={() => {
                  onChanged();
                  onClose();
                }}
              />
            )}
          </>
        )}
      </Loaded>
    </SidePanel>
  );
}

function Body({ host, tags }: { readonly host: Host; readonly tags: Resource<TagsState> }) {
  const { facts, nack, conditions, logins, tables } = host;
  const now = Date.now();
  return (
    <>
      <section class="section" aria-label="State">
        <div class="row">
          <HostMark host={host} />
          <span class="muted">
            seen {ago(Number(host.lastSeenMs), now)}
            {host.peerAddress !== '' && ` from ${host.peerAddress}`}
          </span>
        </div>
        <p class="muted small">{stateText(host)}</p>
        {nack && (
          <p class="notice alarm">
            Revision {String(nack.revision)} was refused: {nack.message} <code>{nack.code}</code>
            {nack.table !== '' && ` (table ${nack.table})`}
          </p>
        )}
        <Facts
          rows={[
            ['Revision', `${host.revisionAcked} in force, ${host.revisionWanted} wanted`],
            [
              'Policy',
              `${host.policyVersion === 0 ? 'none' : `version ${host.policyVersion}`} in force, ${host.policyVersionWanted === 0 ? 'none' : `version ${host.policyVersionWanted}`} wanted`,
            ],
            ['Unpaired containers', `${unpairedWord(host.unpaired)}, by ${BY[host.unpairedBy] ?? host.unpairedBy}`],
          ]}
        />
      </section>
      {conditions.length > 0 && (
        <Section title="What to know">
          <ul class="lines">
            {conditions.map(({ code, severity, title, text, sinceMs }) => (
              <li key={`${code} ${title}`}>
                <span class={`mark ${severity}`}>{severity}</span> {title} <code>{code}</code>
                <span class="why">
                  {text} Since {ago(Number(sinceMs), now)}.
                </span>
              </li>
            ))}
          </ul>
        </Section>
      )}
      <Compatibility host={host} />
      {tables.length > 0 && (
        <Section title="Kernel tables">
          <div class="meter-row">
            {tables.map(({ table, entries, entriesMax }) => (
              <>
                <code key={table}>{table}</code>
                <meter
                  min={0}
                  max={Math.max(1, entriesMax)}
                  low={0.7 * entriesMax}
                  high={0.9 * entriesMax}
                  optimum={0}
                  value={entries}
                  aria-label={`Fill of ${table}`}
                />
                <span class="muted small">
                  {count(entries)} of {count(entriesMax)}
                </span>
              </>
            ))}
          </div>
        </Section>
      )}
      <Losses host={host} />
      <HostTagsSection hostId={host.id} tags={tags} />
      <Section title="Machine">
        <Facts
          rows={[
            ['Name', host.name],
            ['Kernel', facts?.kernel],
            ['System', facts?.os],
            ['Cgroups', facts?.cgroupMode],
            ['Runtimes', facts?.runtimes.join(', ')],
            ['Agent', facts?.agentVersion],
            [
              'Addresses',
              facts !== undefined && facts.addresses.length > 0 && (
                <code>{facts.addresses.map(({ ip }) => address(ip)).join(', ')}</code>
              ),
            ],
            ['Enrolled', time(Number(host.enrolledMs))],
            ['Certificate', `${host.revoked ? 'revoked' : `ends ${time(Number(host.certificateNotAfterMs))}`}`],
          ]}
        />
      </Section>
      {logins !== undefined && (
        <Section title="Logged in">
          {logins.users.length === 0 ? (
            <p class="muted">Nobody.</p>
          ) : (
            <Facts rows={logins.users.map(({ user, groups }) => [user, groups.join(', ') || 'in no group'])} />
          )}
        </Section>
      )}
    </>
  );
}

const BY: Readonly<Record<string, string>> = {
  configuration: 'the agent’s configuration',
  profile: 'the profile that it enrolled by',
  operator: 'an operator',
};

function Compatibility({ host }: { readonly host: Host }) {
  const features = host.facts?.features ?? [];
  const report = compatibilityOf(features);
  const lacking = report.filter(({ state }) => state !== 'available');
  return (
    <Section title="Compatibility of its kernel">
      {report.length === 0 ? (
        <p class="muted">Its agent has not told what its kernel can do. It does when it connects.</p>
      ) : (
        <>
          <p>
            {report.length - lacking.length} of {report.length} features are there
            {lacking.length === 0 ? '.' : '; the agent makes do without the others as follows.'}
          </p>
          <ul class="lines">
            {lacking.map(({ name, title, state, text }) => (
              <li key={name}>
                <span class={`mark ${state === 'missing' ? 'alarm' : 'warning'}`}>{state}</span> {title}
                <span class="why">{text}</span>
              </li>
            ))}
          </ul>
          {furtherFeatures(features).length > 0 && (
            <p class="muted small">Also: {furtherFeatures(features).join(', ')}</p>
          )}
        </>
      )}
    </Section>
  );
}

function Losses({ host: { loss } }: { readonly host: Host }) {
  if (loss === undefined)
    return (
      <Section title="Flow records">
        <p class="muted">None came from this host since the controller started.</p>
      </Section>
    );
  const hops: readonly (readonly [string, bigint, bigint])[] = [
    ['Ring buffers', loss.ringDropped, loss.eventsProduced],
    ['Ring buffers, denies', loss.deniesRingDropped, loss.deniesProduced],
    ['In the agent', loss.agentDropped, loss.eventsProduced],
    ['Disk spool', loss.spoolDropped, loss.recordsSent],
    ['Refused by the controller', loss.recordsRefused, loss.recordsSent],
  ];
  return (
    <Section title="Flow records, and where some were lost">
      <table class="table compact">
        <caption class="visually-hidden">Losses of the flow path since the controller started</caption>
        <thead>
          <tr>
            <th scope="col">Where</th>
            <th scope="col" class="number">
              Lost
            </th>
            <th scope="col" class="number">
              Of
            </th>
          </tr>
        </thead>
        <tbody>
          {hops.map(([name, lost, of]) => (
            <tr key={name}>
              <td>{name}</td>
              <td class="number">{lost > 0n ? <span class="mark warning">{count(Number(lost))}</span> : '0'}</td>
              <td class="number">{count(Number(of))}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="muted small">
        {count(Number(loss.recordsReceived))} records came
        {loss.recordsDuplicate > 0n && `; ${count(Number(loss.recordsDuplicate))} came again and were known`}.
      </p>
    </Section>
  );
}
