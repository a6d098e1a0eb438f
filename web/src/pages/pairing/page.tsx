// Pairing: profiles say what the holder of a key may become; keys; workloads that are cut off; workloads that were denied.
import { Pairing } from '../../api/admin.js';
import { call } from '../../api/client.js';
import { useResource } from '../../api/resource.js';
import { usePlace } from '../../location.js';
import { Tabs, tabOf } from '../../ui/tabs.js';
import { DeniedTab } from './denied.js';
import { KeysTab } from './keys.js';
import { ProfilesTab } from './profiles.js';
import { QuarantineTab } from './quarantine.js';

const TABS = [{ id: 'profiles' }, { id: 'keys' }, { id: 'quarantine' }, { id: 'denied' }] as const;
const EVERY = { everyMs: 5000 };

export function PairingPage() {
  const { query } = usePlace();
  const tab = tabOf(query, TABS);
  const profiles = useResource(
    'profiles',
    async (signal) => (await call(Pairing.method.listProfiles, {}, signal)).profiles,
    EVERY,
  );
  const quarantines = useResource(
    'quarantines',
    async (signal) => (await call(Pairing.method.listQuarantines, {}, signal)).quarantines,
    EVERY,
  );
  const denied = useResource(
    'denied',
    async (signal) => (await call(Pairing.method.listPairings, { deniedOnly: true }, signal)).pairings,
    EVERY,
  );
  return (
    <div class="page fill">
      <header>
        <h1>Pairing</h1>
      </header>
      <Tabs
        label="Parts of the pairing page"
        path="/pairing"
        current={tab}
        tabs={[
          { id: 'profiles', title: 'Profiles', count: profiles.data?.length },
          { id: 'keys', title: 'Keys' },
          { id: 'quarantine', title: 'Quarantine', count: quarantines.data?.length, tone: 'alarm' },
          { id: 'denied', title: 'Denied', count: denied.data?.length, tone: 'warning' },
        ]}
      />
      {tab === 'profiles' && <ProfilesTab profiles={profiles} query={query} />}
      {tab === 'keys' && <KeysTab profiles={profiles.data ?? []} query={query} />}
      {tab === 'quarantine' && <QuarantineTab quarantines={quarantines} query={query} />}
      {tab === 'denied' && <DeniedTab denied={denied} query={query} />}
    </div>
  );
}
