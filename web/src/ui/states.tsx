// Nothing yet, nothing at all, and what went wrong: each says what to do next.
import type { ComponentChildren } from 'preact';
import { CallError, UNAVAILABLE } from '../api/client.js';
import type { Resource } from '../api/resource.js';
import { Button } from './controls.js';
import { Icon, type IconName } from './icons.js';

export function Empty(props: {
  readonly title: string;
  readonly icon?: IconName;
  readonly children: ComponentChildren;
}) {
  return (
    <div class="state">
      <Icon name={props.icon ?? 'empty'} />
      <h2>{props.title}</h2>
      <p>{props.children}</p>
    </div>
  );
}

export function Failure({ error, retry }: { readonly error: Error; readonly retry?: () => void }) {
  const lost = error instanceof CallError && error.status === UNAVAILABLE;
  return (
    <div class="state" role="alert">
      <Icon name="warning" />
      <h2>{lost ? 'The controller does not answer' : 'This did not work'}</h2>
      <p>
        {error.message}
        {error instanceof CallError && error.code !== '' && <code> {error.code}</code>}
      </p>
      {lost && <p>Enforcement goes on without it. Look at the controller on its machine, then try again.</p>}
      {retry && (
        <Button icon="up" onClick={retry}>
          Try again
        </Button>
      )}
    </div>
  );
}

export function Loading({ what }: { readonly what: string }) {
  return (
    <div class="state" role="status">
      <p>Loading {what} …</p>
    </div>
  );
}

/** What a resource has to show, or why it has not. */
export function Loaded<T>(props: {
  readonly resource: Resource<T>;
  readonly what: string;
  readonly children: (data: T) => ComponentChildren;
}) {
  const { data, error, reload } = props.resource;
  if (data !== undefined) {
    return (
      <>
        {error && <Stale error={error} retry={reload} />}
        {props.children(data)}
      </>
    );
  }
  return error === undefined ? <Loading what={props.what} /> : <Failure error={error} retry={reload} />;
}

/** What is shown could not be loaded anew. */
export function Stale({ error, retry }: { readonly error: Error; readonly retry: () => void }) {
  return (
    <div class="notice warning" role="alert">
      <span class="grow">What you see may be old: {error.message}</span>
      <Button small onClick={retry}>
        Try again
      </Button>
    </div>
  );
}
