// Signing in and out. The link's secret stands behind "#": browsers do not send it, and it leaves the address bar at once.
import { CallError, errorBody, UNAUTHENTICATED } from './client.js';

export interface Session {
  readonly operator: string;
  /** Unix milliseconds. */
  readonly expiresMs: number;
}

const LINK = /^#sign-in=(.+)$/;

/** The address bar holds a sign-in link. */
export function hasLink(): boolean {
  return LINK.test(location.hash);
}

/** The secret of a sign-in link that this page was opened with; takes it out of the address bar. */
export function takeLink(): string | undefined {
  const match = LINK.exec(location.hash);
  if (match?.[1] === undefined) return undefined;
  history.replaceState(null, '', location.pathname + location.search);
  return match[1];
}

/** Uses a link up. Throws CallError. */
export async function signIn(link: string): Promise<Session> {
  return (await post('/auth/sign-in', { link })) as Session;
}

export async function signOut(): Promise<void> {
  await post('/auth/sign-out', {});
}

/** Who is signed in; undefined: nobody. Throws CallError when the controller cannot be asked. */
export async function currentSession(): Promise<Session | undefined> {
  const response = await fetch('/auth/session', { credentials: 'same-origin' }).catch(() => undefined);
  if (response === undefined) throw new CallError(14, 'RF_WEB_UNREACHABLE', 'Cannot reach the controller: no answer');
  if (response.status === 401) return undefined;
  if (!response.ok) throw await failure(response);
  return (await response.json()) as Session;
}

async function post(path: string, body: object): Promise<unknown> {
  const response = await fetch(path, {
    method: 'POST',
    credentials: 'same-origin',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }).catch(() => undefined);
  if (response === undefined) throw new CallError(14, 'RF_WEB_UNREACHABLE', 'Cannot reach the controller: no answer');
  if (!response.ok) throw await failure(response);
  return response.json();
}

async function failure(response: Response): Promise<CallError> {
  const { code = '', message = response.statusText } = await errorBody(response);
  return new CallError(response.status === 401 ? UNAUTHENTICATED : 14, code, message);
}
