// Line drawings, decorative: the words beside them say the same.
const PATHS = {
  map: 'M5 6a2 2 0 1 0 0-.01M19 5a2 2 0 1 0 0-.01M12 19a2 2 0 1 0 0-.01M7 6.5l10-1M6 8l5 9M18 7l-5 10',
  workloads: 'M4 7l8-4 8 4-8 4zM4 12l8 4 8-4M4 17l8 4 8-4',
  hosts: 'M4 4h16v6H4zM4 14h16v6H4zM8 7h.01M8 17h.01',
  policy: 'M12 3l8 3v6c0 5-3.5 8-8 9-4.5-1-8-4-8-9V6zM9 12l2 2 4-4',
  pairing: 'M14 7a4 4 0 1 1 0 8 4 4 0 0 1 0-8zM10.5 13.5L4 20M6 18l2 2M8.5 15.5l1.5 1.5',
  audit: 'M6 3h9l4 4v14H6zM14 3v5h5M9 12h7M9 16h7',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5',
  allowed: 'M4 12l5 5L20 6',
  would: 'M12 4v10M12 19h.01',
  blocked: 'M5 5l14 14M19 5L5 19',
  unknown: 'M8 9a4 4 0 1 1 5 4c-1 .5-1 1-1 2M12 19h.01',
  close: 'M5 5l14 14M19 5L5 19',
  sun: 'M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M19 5l-1.4 1.4M6.4 17.6L5 19',
  moon: 'M20 14A8 8 0 1 1 10 4a6.5 6.5 0 0 0 10 10z',
  out: 'M9 4H4v16h5M15 8l4 4-4 4M19 12H9',
  up: 'M12 19V5M6 11l6-6 6 6',
  zoomIn: 'M12 5v14M5 12h14',
  zoomOut: 'M5 12h14',
  fit: 'M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5',
  live: 'M12 10a2 2 0 1 0 0 4 2 2 0 0 0 0-4zM7 7a7 7 0 0 0 0 10M17 7a7 7 0 0 1 0 10M4 4a11 11 0 0 0 0 16M20 4a11 11 0 0 1 0 16',
  warning: 'M12 3l10 18H2zM12 10v5M12 18h.01',
  empty: 'M3 12l3-8h12l3 8v8H3zM3 12h5l2 3h4l2-3h5',
  table: 'M4 5h16v14H4zM4 10h16M4 15h16M10 5v14',
  plus: 'M12 5v14M5 12h14',
  copy: 'M8 8h12v12H8zM4 16V4h12',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
