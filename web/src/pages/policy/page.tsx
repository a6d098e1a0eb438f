// Policy: the rules, the files that they are written in, what the draft would change, what is odd about it, its tests, and all versions.
import { useState } from 'preact/hooks';
import { Policy } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import { usePlace } from '../../location.js';
import { Button } from '../../ui/controls.js';
import { ProvisionDialog } from '../../ui/provision.js';
import { Tabs, tabOf } from '../../ui/tabs.js';
import { ChangesTab } from './changes.js';
import { FilesTab } from './files.js';
import { FindingsTab } from './findings.js';
import './policy.css';
import { RulesTab } from './rules.js';
import { TestsTab } from './tests.js';
import { VersionsTab } from './versions.js';

const TABS = [
  { id: 'rules' },
  { id: 'files' },
  { id: 'draft' },
  { id: 'findings' },
  { id: 'tests' },
  { id: 'versions' },
] as const;

export function PolicyPage() {
  const { query } = usePlace();
  const tab = tabOf(query, TABS);
  const [provisioning, setProvisioning] = useState(false);
  const draft = useResource(
    'draft',
    (signal) => call(Policy.method.get, { ref: { ref: { case: 'draft', value: true } } }, signal),
    { everyMs: 5000 },
  );
  const inForce = useResource('in force', (signal) => call(Policy.method.get, {}, signal), { everyMs: 5000 });
  const changed = () => {
    draft.reload();
    inForce.reload();
  };
  const differs = draft.data?.draftDiffers ?? false;
  const number = inForce.data?.version?.number ?? 0;
  return (
    <div class="page fill">
      <header>
        <h1>Policy</h1>
        <span class="muted" role="status">
          {inForce.data && (number === 0 ? 'Nothing is in force yet' : `Version ${number} is in force`)}
        </span>
        {differs && <span class="mark warning">the draft differs</span>}
        <span class="grow" />
        <Button kind="primary" disabled={!differs} onClick={() => setProvisioning(true)}>
          Provision the draft
        </Button>
      </header>
      <Tabs
        label="Parts of the policy page"
        path="/policy"
        current={tab}
        tabs={[
          { id: 'rules', title: 'Rules', count: draft.data?.rules.length },
          { id: 'files', title: 'Files', count: draft.data?.files.length },
          { id: 'draft', title: 'Changes of the draft', dot: differs, tone: 'warning' },
          { id: 'findings', title: 'Findings' },
          { id: 'tests', title: 'Tests' },
          { id: 'versions', title: 'Versions' },
        ]}
      />
      {tab === 'rules' && <RulesTab draft={draft} inForce={inForce} query={query} />}
      {tab === 'files' && <FilesTab draft={draft} query={query} onChanged={changed} />}
      {tab === 'draft' && <ChangesTab stamp={stampOf(draft.data, number)} differs={differs} onChanged={changed} />}
      {tab === 'findings' && <FindingsTab stamp={stampOf(draft.data, number)} />}
      {tab === 'tests' && <TestsTab stamp={stampOf(draft.data, number)} />}
      {tab === 'versions' && <VersionsTab query={query} onChanged={changed} />}
      {provisioning && (
        <ProvisionDialog
          onClose={() => setProvisioning(false)}
          onDone={() => {
            setProvisioning(false);
            changed();
          }}
        />
      )}
    </div>
  );
}

/** Differs when the draft or the version in force does: what was asked about them is asked anew. */
function stampOf(
  draft: { readonly files: readonly { name: string; content: string }[] } | undefined,
  version: number,
): string {
  return JSON.stringify([version, draft?.files.map(({ name, content }) => [name, content])]);
}
