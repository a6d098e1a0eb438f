// Where in the page one is: path and query. Every view that is worth sending to somebody is in the address.
import { useEffect, useState } from 'preact/hooks';

export interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
}

const listeners = new Set<() => void>();

function here(): Place {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

addEventListener('popstate', () => {
  for (const listener of listeners) listener();
});

/** Goes to a place. `replace`: without a step in the browser's history. */
export function go(
  path: string,
  query: URLSearchParams | Readonly<Record<string, string>> = {},
  replace = false,
): void {
  const text = new URLSearchParams(query).toString();
  const url = text === '' ? path : `${path}?${text}`;
  if (url === location.pathname + location.search) return;
  if (replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  for (const listener of listeners) listener();
}

/** Changes some parameters of the query; an empty value removes one. */
export function setQuery(changes: Readonly<Record<string, string>>, replace = false): void {
  const { path, query } = here();
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') query.delete(name);
    else query.set(name, value);
  }
  go(path, query, replace);
}

export function usePlace(): Place {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    const update = () => setPlace(here());
    listeners.add(update);
    return () => {
      listeners.delete(update);
    };
  }, []);
  return place;
}

/** Attributes of a link to a place inside the page. */
export function linkTo(path: string, query: Readonly<Record<string, string>> = {}) {
  const text = new URLSearchParams(query).toString();
  const href = text === '' ? path : `${path}?${text}`;
  return {
    href,
    onClick: (event: MouseEvent) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
      event.preventDefault();
      go(path, query);
    },
  };
}
