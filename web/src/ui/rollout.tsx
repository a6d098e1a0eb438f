// A policy version that is in force on condition: how long it stays, and the way to keep or end it.
import { useEffect, useState } from 'preact/hooks';
import { Policy } from '../api/admin.js';
import { call } from '../api/client.js';
import { reloadStanding } from '../api/resource.js';
import type { PolicyRollout } from '../gen/ringfence/v1/admin_policy_pb.js';
import { Button } from './controls.js';
import { catchFocus } from './focus.js';
import { tell, tellError } from './toast.js';

export function RolloutBanner({ rollout, onEnded }: { readonly rollout: PolicyRollout; readonly onEnded: () => void }) {
  const { version, baseVersion, canary, hosts, hostsInForce } = rollout;
  const [busy, setBusy] = useState(false);
  useEffect(() => catchFocus, []);
  const left = useSecondsUntil(Number(rollout.confirmByMs));
  const end = (work: () => Promise<unknown>, told: string) => {
    setBusy(true);
    work()
      .then(() => tell(told), tellError)
      .finally(() => {
        setBusy(false);
        reloadStanding();
        onEnded();
      });
  };
  const back = baseVersion === 0 ? 'no policy' : `version ${baseVersion}`;
  return (
    <section class="notice warning banner" aria-label="Open rollout">
      <span class="grow">
        Version {version} is in force {canary === '' ? '' : `for ${canary} `}on {hostsInForce} of {hosts} hosts
        {rollout.confirmByMs > 0n && (
          <>
            {' '}
            and goes back to {back} in <strong>{Math.max(0, left)} s</strong> unless you confirm it
          </>
        )}
        .
      </span>
      <Button
        kind="primary"
        small
        disabled={busy}
        onClick={() => end(() => call(Policy.method.confirm, { version }), `Version ${version} stays in force.`)}
      >
        {canary === '' ? `Confirm version ${version}` : `Put version ${version} in force everywhere`}
      </Button>
      <Button
        kind="danger"
        small
        disabled={busy}
        onClick={() => end(() => call(Policy.method.return, { version, note: '' }), `Back to ${back}.`)}
      >
        Take it back
      </Button>
    </section>
  );
}

function useSecondsUntil(ms: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return Math.round((ms - now) / 1000);
}
