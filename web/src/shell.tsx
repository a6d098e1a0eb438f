// The frame around every page: navigation, how the system stands, who is signed in.
import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Status } from './api/admin.js';
import { call } from './api/client.js';
import { useResource } from './api/resource.js';
import { type Session, signOut } from './api/session.js';
import { linkTo, usePlace } from './location.js';
import { PAGES } from './pages/index.js';
import { StatusBar } from './status-bar.js';
import { setAppearance, useIsDark } from './ui/appearance.js';
import { Button } from './ui/controls.js';
import { watchFocus } from './ui/focus.js';
import { Icon } from './ui/icons.js';
import { Empty, Failure, Loading } from './ui/states.js';
import { Toasts, tellError } from './ui/toast.js';

const STATUS_EVERY_MS = 5000;

export function Shell({ session, onSignedOut }: { readonly session: Session; readonly onSignedOut: () => void }) {
  const { path } = usePlace();
  const page = PAGES.find((each) => each.path === path);
  const status = useResource('status', (signal) => call(Status.method.get, {}, signal), { everyMs: STATUS_EVERY_MS });
  const main = useRef<HTMLElement>(null);
  const [first, setFirst] = useState(true);
  useEffect(watchFocus, []);
  useEffect(() => {
    document.title = page === undefined ? 'Ringfence' : `${page.title} · Ringfence`;
    // Whoever listens hears where he is; not on the first page, which begins at its begin.
    if (!first) main.current?.focus();
    setFirst(false);
  }, [path]);
  return (
    <div class="shell">
      <a class="skip" href="#main">
        Skip to content
      </a>
      <Sidebar path={path} session={session} onSignedOut={onSignedOut} />
      <div class="column">
        <StatusBar status={status} />
        <main id="main" ref={main} tabIndex={-1}>
          {page === undefined ? (
            <Empty title="No such page">
              Nothing is at <code>{path}</code>. Choose a page on the left.
            </Empty>
          ) : (
            <PageView key={page.path} load={page.load} title={page.title} />
          )}
        </main>
      </div>
      <Toasts />
    </div>
  );
}

function Sidebar({ path, session, onSignedOut }: { path: string; session: Session; onSignedOut: () => void }) {
  const dark = useIsDark();
  return (
    <nav class="sidebar" aria-label="Pages">
      <a class="brand" {...linkTo('/')}>
        <img src="/icon.svg" alt="" width="26" height="26" />
        <span>Ringfence</span>
      </a>
      <ul>
        {PAGES.map(({ path: to, title, icon }) => (
          <li key={to}>
            <a {...linkTo(to)} title={title} aria-current={to === path ? 'page' : undefined}>
              <Icon name={icon} />
              <span>{title}</span>
            </a>
          </li>
        ))}
      </ul>
      <div class="foot">
        <span class="who" title="Signed in as">
          {session.operator}
        </span>
        <Button
          kind="plain"
          small
          icon={dark ? 'sun' : 'moon'}
          label={dark ? 'Light theme' : 'Dark theme'}
          onClick={() => setAppearance(dark ? 'light' : 'dark')}
        />
        <Button kind="plain" small icon="out" label="Sign out" onClick={() => signOut().then(onSignedOut, tellError)} />
      </div>
    </nav>
  );
}

function PageView({ load, title }: { readonly load: () => Promise<ComponentType>; readonly title: string }) {
  const [View, setView] = useState<ComponentType>();
  const [error, setError] = useState<Error>();
  useEffect(() => {
    load().then(
      (component) => setView(() => component),
      () =>
        setError(
          new Error('Cannot load this page: the controller has a newer one, or does not answer. Load the page anew.'),
        ),
    );
  }, [load]);
  if (error) return <Failure error={error} retry={() => location.reload()} />;
  return View === undefined ? <Loading what={title} /> : <View />;
}
