// When it happened: bars of what was allowed, would be blocked and was blocked, and two handles that choose a time.
import { useMemo, useRef, useState } from 'preact/hooks';
import type { FlowTimeline } from '../../gen/ringfence/v1/admin_flows_pb.js';
import { Button } from '../../ui/controls.js';
import { shortCount, time } from '../../ui/format.js';

const HEIGHT = 44;
const SHORTEST = 2;

export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

export function Timeline(props: {
  readonly timeline: FlowTimeline;
  readonly range: Range | undefined;
  readonly onRange: (range: Range | undefined) => void;
}) {
  const { timeline, range, onRange } = props;
  const { steps } = timeline;
  const [fromMs, stepMs] = [Number(timeline.fromUs) / 1000, Number(timeline.stepUs) / 1000];
  const edge = (index: number) => Math.round(fromMs + index * stepMs);
  const indexOf = (ms: number) => Math.max(0, Math.min(steps.length, Math.round((ms - fromMs) / stepMs)));
  const stepsOf = ({ fromMs: from, toMs: to }: Range) => {
    const first = Math.min(indexOf(from), steps.length - 1);
    return [first, Math.max(indexOf(to), first + 1)] as const;
  };
  const chosen = range === undefined ? ([0, steps.length] as const) : stepsOf(range);
  const [dragged, setDragged] = useState<readonly [number, number]>();
  const [low, high] = dragged ?? chosen;
  // What was chosen may be narrower than a step: what is said is what is asked.
  const told = dragged === undefined && range !== undefined ? range : { fromMs: edge(low), toMs: edge(high) };
  const endsNow = edge(steps.length) >= Date.now() - stepMs;
  const surface = useRef<SVGSVGElement>(null);
  const start = useRef(0);
  const choose = (a: number, b: number) => {
    setDragged(undefined);
    const [x, y] = [Math.min(a, b), Math.max(a, b)];
    if (y - x < 1 || (x === 0 && y === steps.length && endsNow)) onRange(undefined);
    else onRange({ fromMs: edge(x), toMs: edge(y) });
  };
  const at = (event: PointerEvent, round: (n: number) => number) => {
    const box = surface.current?.getBoundingClientRect();
    if (box === undefined || box.width === 0) return 0;
    return Math.max(0, Math.min(steps.length, round(((event.clientX - box.left) / box.width) * steps.length)));
  };
  const bars = useMemo(() => barsOf(timeline), [timeline]);
  const totals = useMemo(() => {
    const shown = steps.slice(low, high);
    const sum = (of: (step: (typeof steps)[number]) => bigint) =>
      Number(shown.reduce((total, step) => total + of(step), 0n));
    return { allowed: sum((s) => s.allowed), would: sum((s) => s.wouldBlock), blocked: sum((s) => s.blocked) };
  }, [steps, low, high]);
  return (
    <section class="timeline" aria-label="Timeline">
      <div class="timeline-head">
        <strong class="nowrap">
          {time(told.fromMs)} – {range === undefined && dragged === undefined ? 'now' : time(told.toMs)}
        </strong>
        <span class="muted small">
          {shortCount(totals.allowed)} allowed · {shortCount(totals.would)} would be blocked ·{' '}
          {shortCount(totals.blocked)} blocked
        </span>
        <span class="grow" />
        {range !== undefined && (
          <Button small onClick={() => onRange(undefined)}>
            Back to now
          </Button>
        )}
      </div>
      <div class="timeline-bars">
        <svg
          ref={surface}
          viewBox={`0 0 ${steps.length || 1} ${HEIGHT}`}
          preserveAspectRatio="none"
          aria-hidden="true"
          data-testid="timeline"
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            start.current = at(event, Math.floor);
            setDragged([start.current, start.current + 1]);
          }}
          onPointerMove={(event) => {
            if (dragged === undefined) return;
            const now = at(event, Math.ceil);
            setDragged(now > start.current ? [start.current, now] : [Math.max(0, now - 1), start.current + 1]);
          }}
          onPointerUp={() => dragged && choose(...dragged)}
          onPointerCancel={() => setDragged(undefined)}
        >
          {bars}
          <rect class="veil" x={0} y={0} width={low} height={HEIGHT} />
          <rect class="veil" x={high} y={0} width={Math.max(0, steps.length - high)} height={HEIGHT} />
        </svg>
        <Handle
          label="Begin of the time shown"
          value={low}
          max={steps.length}
          text={time(edge(low))}
          onChange={(value) => choose(Math.min(value, high - 1), high)}
        />
        <Handle
          label="End of the time shown"
          value={high}
          max={steps.length}
          text={time(edge(high))}
          onChange={(value) => choose(low, Math.max(value, low + 1))}
        />
      </div>
    </section>
  );
}

function Handle(props: { label: string; value: number; max: number; text: string; onChange: (value: number) => void }) {
  return (
    <input
      type="range"
      class="timeline-handle"
      aria-label={props.label}
      aria-valuetext={props.text}
      min={0}
      max={props.max}
      step={1}
      value={props.value}
      onChange={(event) => props.onChange(Number(event.currentTarget.value))}
    />
  );
}

function barsOf({ steps }: FlowTimeline) {
  const sums = steps.map(
    ({ allowed, wouldBlock, blocked }) => [Number(blocked), Number(wouldBlock), Number(allowed)] as const,
  );
  const most = Math.max(1, ...sums.map((parts) => parts.reduce((a, b) => a + b, 0)));
  // Roots, so that a few blocked ones are seen beside many that were allowed.
  return sums.map((parts, index) => {
    const total = parts.reduce((a, b) => a + b, 0);
    const height = total === 0 ? 0 : Math.max(SHORTEST, Math.sqrt(total / most) * HEIGHT);
    let y = HEIGHT;
    return parts.map((part, kind) => {
      const h = part === 0 ? 0 : Math.max(SHORTEST, (part / total) * height);
      y -= h;
      const name = ['blocked', 'would', 'allowed'][kind];
      return h === 0 ? null : (
        <rect key={`${index} ${name}`} class={`bar ${name}`} x={index + 0.1} y={y} width={0.8} height={h} />
      );
    });
  });
}
