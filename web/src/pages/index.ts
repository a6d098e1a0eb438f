// The pages, in the order of the navigation. Adding one: a folder with a component, and a line here.
import type { ComponentType } from 'preact';
import type { IconName } from '../ui/icons.js';

export interface Page {
  readonly path: string;
  readonly title: string;
  readonly icon: IconName;
  /** Loaded when the page is first shown. */
  readonly load: () => Promise<ComponentType>;
}

export const PAGES: readonly Page[] = [
  { path: '/', title: 'Flow map', icon: 'map', load: async () => (await import('./map/page.js')).MapPage },
  {
    path: '/workloads',
    title: 'Workloads',
    icon: 'workloads',
    load: async () => (await import('./workloads/page.js')).WorkloadsPage,
  },
  { path: '/hosts', title: 'Hosts', icon: 'hosts', load: async () => (await import('./hosts/page.js')).HostsPage },
  { path: '/policy', title: 'Policy', icon: 'policy', load: async () => (await import('./policy/page.js')).PolicyPage },
  {
    path: '/pairing',
    title: 'Pairing',
    icon: 'pairing',
    load: async () => (await import('./pairing/page.js')).PairingPage,
  },
  { path: '/audit', title: 'Audit', icon: 'audit', load: async () => (await import('./audit/page.js')).AuditPage },
];
