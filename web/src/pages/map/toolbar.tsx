// What of the map is shown: search and filters, grouping, time, verdicts, live, draft, drawing or table.
import { useEffect, useRef, useState } from 'preact/hooks';
import { setQuery } from '../../location.js';
import { Button, Check, Segments } from '../../ui/controls.js';
import { Icon } from '../../ui/icons.js';
import { VERDICT_WORDS } from '../../ui/verdict.js';
import { type MapView, WINDOWS } from './view.js';

const TYPING_MS = 250;
const VERDICTS = ['allowed', 'would', 'blocked'] as const;

/** `used`: dimensions in which workloads have labels. */
export function Toolbar({ view, used }: { readonly view: MapView; readonly used: readonly string[] }) {
  const groups = [...new Set([...used, ...view.by])];
  const toggleGroup = (name: string) => {
    const next = view.by.includes(name) ? view.by.filter((each) => each !== name) : [...view.by, name];
    if (next.length > 0) setQuery({ by: next.join(','), in: '', wl: '', sel: '' });
  };
  const toggleVerdict = (name: (typeof VERDICTS)[number]) => {
    const now = view.verdicts.length === 0 ? [...VERDICTS] : [...view.verdicts];
    const next = now.includes(name) ? now.filter((each) => each !== name) : [...now, name];
    setQuery({ v: next.length === 0 || next.length === VERDICTS.length ? '' : next.join(',') });
  };
  return (
    <div class="toolbar">
      <div class="row">
        <SearchBox view={view} />
        <Segments
          label="Time"
          value={view.range === undefined ? view.window : undefined}
          options={Object.entries(WINDOWS).map(([name, { text }]) => [name, text] as const)}
          onChange={(t) => setQuery({ t: t === '1h' ? '' : t, from: '', to: '' })}
        />
        <Button
          icon="live"
          pressed={view.live}
          onClick={() => setQuery({ live: view.live ? '' : '1', from: '', to: '' })}
        >
          Live
        </Button>
        <Segments
          label="Show as"
          value={view.table ? 'table' : 'map'}
          options={[
            ['map', 'Map'],
            ['table', 'Table'],
          ]}
          onChange={(as) => setQuery({ as: as === 'table' ? 'table' : '' })}
        />
      </div>
      <div class="row">
        <fieldset class="chips" aria-label="Group by">
          <span class="muted small">Group by</span>
          {groups.map((name) => (
            <Button key={name} small pressed={view.by.includes(name)} onClick={() => toggleGroup(name)}>
              {name}
            </Button>
          ))}
          <Button
            small
            pressed={view.level === 'all'}
            onClick={() => setQuery({ all: view.level === 'all' ? '' : '1', in: '', wl: '', sel: '' })}
          >
            every workload
          </Button>
        </fieldset>
        <fieldset class="chips" aria-label="Verdicts shown">
          {VERDICTS.map((name) => (
            <button
              key={name}
              type="button"
              class={`button small legend ${name}`}
              aria-pressed={view.verdicts.length === 0 || view.verdicts.includes(name)}
              onClick={() => toggleVerdict(name)}
            >
              <svg class="line-sample" viewBox="0 0 26 8" aria-hidden="true">
                <line x1="0" y1="4" x2="26" y2="4" />
              </svg>
              {VERDICT_WORDS[name]}
            </button>
          ))}
        </fieldset>
        <span class="grow" />
        <Segments
          label="Policy"
          value={view.draft ? 'draft' : 'real'}
          options={[
            ['real', 'As it was'],
            ['draft', 'As the draft judges'],
          ]}
          onChange={(which) => setQuery({ view: which === 'draft' ? 'draft' : '', enforced: '', sel: '' })}
        />
        {view.draft && (
          <Check
            label="as if all were enforced"
            checked={view.enforced}
            onChange={(on) => setQuery({ enforced: on ? '1' : '' })}
          />
        )}
      </div>
    </div>
  );
}

function SearchBox({ view }: { readonly view: MapView }) {
  const [text, setText] = useState(view.text);
  const put = useRef(view.text);
  // Back and forward change it from outside. What came from here is old already when somebody types on.
  useEffect(() => {
    if (view.text === put.current) return;
    put.current = view.text;
    setText(view.text);
  }, [view.text]);
  useEffect(() => {
    if (text === view.text) return;
    const timer = setTimeout(() => {
      put.current = text;
      setQuery({ q: text }, true);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, view.text]);
  const { problems } = view.filter;
  return (
    <search class="search">
      <Icon name="search" />
      <input
        class="input"
        type="text"
        value={text}
        aria-label="Search and filter"
        aria-describedby="search-help"
        aria-invalid={problems.length > 0}
        placeholder="name, role=db, from:app=web, tcp/5432, process:nginx, rule:…"
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <span id="search-help" class="visually-hidden">
        Words search in names. Filters: label=value, from: and to: before them, tcp/443, port:, host:, process:, rule:,
        address:, workload:.
      </span>
      {problems.length > 0 && (
        <span class="search-problem" role="alert">
          Not a filter: {problems.join(' ')}
        </span>
      )}
    </search>
  );
}
