// Live mode: the stream of records as it comes, what is missing in it, and when to draw anew.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Flows } from '../../api/admin.js';
import { CallError, follow } from '../../api/client.js';
import type { Flow } from '../../gen/ringfence/v1/flows_pb.js';
import { recordsToFollow } from './load.js';
import type { MapView } from './view.js';

const LINES = 6;
/** The map is drawn anew this often at most. */
const REDRAW_MS = 3000;
const PUBLISH_MS = 250;
const RETRY_MS = 2000;

export interface Live {
  readonly connected: boolean;
  /** Records since live mode began. */
  readonly records: number;
  /** Records that are missing in the stream, by where they were lost. */
  readonly gaps: ReadonlyMap<string, number>;
  /** Newest first. */
  readonly lines: readonly Flow[];
  /** Why it is not connected. */
  readonly error: string;
}

const NONE: Live = { connected: false, records: 0, gaps: new Map(), lines: [], error: '' };

/** Follows while `view.live` holds; `onRecords` is called when something came, at most each REDRAW_MS. */
export function useLive(view: MapView, onRecords: () => void): Live {
  const [live, setLive] = useState<Live>(NONE);
  const redraw = useRef(onRecords);
  redraw.current = onRecords;
  const key = view.live
    ? JSON.stringify([view.text, view.verdicts, view.group, view.workload, view.by, view.draft])
    : '';
  useEffect(() => {
    if (key === '') {
      setLive(NONE);
      return;
    }
    const abort = new AbortController();
    const state = { connected: false, records: 0, gaps: new Map<string, number>(), lines: [] as Flow[], error: '' };
    let [dirty, drawnMs, fresh] = [true, Date.now(), false];
    const timer = setInterval(() => {
      if (dirty) setLive({ ...state, gaps: new Map(state.gaps), lines: [...state.lines] });
      dirty = false;
      if (fresh && Date.now() - drawnMs >= REDRAW_MS) {
        [fresh, drawnMs] = [false, Date.now()];
        redraw.current();
      }
    }, PUBLISH_MS);
    const run = async () => {
      const filter = recordsToFollow(view);
      for await (const { body } of follow(Flows.method.follow, { filter }, abort.signal)) {
        dirty = true;
        if (body.case === 'synced') [state.connected, state.error] = [true, ''];
        else if (body.case === 'rows') {
          state.records += body.value.flows.length;
          state.lines = [...body.value.flows.slice(-LINES).reverse(), ...state.lines].slice(0, LINES);
          fresh = true;
        } else if (body.case === 'gap') {
          const { hop, hostId, count } = body.value;
          const where = hostId === '' ? hop : `${hop} of ${hostId}`;
          state.gaps.set(where, (state.gaps.get(where) ?? 0) + Number(count));
        }
      }
    };
    const keepRunning = async () => {
      while (!abort.signal.aborted) {
        try {
          await run();
        } catch (error) {
          if (abort.signal.aborted) return;
          state.error = error instanceof CallError ? error.message : String(error);
        }
        [state.connected, dirty] = [false, true];
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    };
    void keepRunning();
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [key]);
  return live;
}
