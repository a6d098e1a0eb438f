// What a page shows of the controller: loaded when its question changes, kept while it is asked anew.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

export interface Resource<T> {
  /** The newest answer; stays while it is loaded anew. */
  readonly data: T | undefined;
  readonly error: Error | undefined;
  readonly loading: boolean;
  /** Asks anew at once: something was changed, an answer that is on its way is of before. */
  readonly reload: () => void;
  /** Asks anew for what is newer: after the answer that is on its way, which is waited for however long it takes. */
  readonly refresh: () => void;
}

const standing = new Set<() => void>();

/** Something was changed: what is shown and kept up to date is asked anew now, instead of at its next turn. */
export function reloadStanding(): void {
  for (const reload of [...standing]) reload();
}

/**
 * Runs `load` when `key` changes, each `everyMs` (0: never) while the page is visible, and on reload. An answer to a question that was
 * given up is dropped. A turn that comes while an answer is on its way is left out: a slow controller is waited for, not asked over and
 * over. `keep`: the answer to the question before stays until the new one is there.
 */
export function useResource<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  { everyMs = 0, keep = true }: { readonly everyMs?: number; readonly keep?: boolean } = {},
): Resource<T> {
  const [state, setState] = useState<{ key: string; data?: T; error?: Error; loading: boolean }>({
    key,
    loading: true,
  });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  // What is on its way, and whether something newer was asked for meanwhile.
  const flight = useRef({ busy: false, again: false });
  useEffect(() => {
    const abort = new AbortController();
    const own = { busy: true, again: false };
    flight.current = own;
    const landed = () => {
      own.busy = false;
      if (own.again && flight.current === own) setTurn((n) => n + 1);
    };
    setState((before) => {
      const { data } = before;
      const kept = (keep || before.key === key) && data !== undefined ? { data } : {};
      return { key, ...kept, loading: true };
    });
    latest.current(abort.signal).then(
      (data) => {
        if (abort.signal.aborted) return;
        setState({ key, data, loading: false });
        landed();
      },
      (error: unknown) => {
        if (abort.signal.aborted) return;
        setState((before) => {
          const kept = before.data === undefined ? {} : { data: before.data };
          return { key, ...kept, error: error instanceof Error ? error : new Error(String(error)), loading: false };
        });
        landed();
      },
    );
    return () => abort.abort();
  }, [key, turn, keep]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const refresh = useCallback(() => {
    if (flight.current.busy) flight.current.again = true;
    else reload();
  }, [reload]);
  useEffect(() => {
    if (everyMs === 0) return;
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible' && !flight.current.busy) reload();
    }, everyMs);
    standing.add(reload);
    return () => {
      clearInterval(timer);
      standing.delete(reload);
    };
  }, [everyMs, reload]);
  const { data, error, loading } = state.key === key || keep ? state : { loading: true };
  return { data, error, loading, reload, refresh };
}
