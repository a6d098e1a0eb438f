import type { FleetHostSpec } from '../src/fleet.js';
import type { ServerPort } from '../src/place.js';
import type { Attempt } from './attempt.js';

/** Two hosts of one shop. `metrics` is a plain service of its host, all others are containers. */
export const hosts: readonly FleetHostSpec[] = [
  { name: 'alpha', containers: ['web', 'cache'], services: ['metrics'] },
  { name: 'beta', containers: ['db', 'batch'] },
];

/** Everyone is app=shop; the roles are the names. */
export const roles = ['web', 'cache', 'db', 'batch', 'metrics'] as const;

/** What listens. Forbidden ports listen too: a refusal must be policy's, not an empty port's. */
export const listeners: Readonly<Record<string, readonly ServerPort[]>> = {
  web: ['tcp:80', 'udp:8125'],
  cache: ['tcp:6379', 'udp:11211'],
  db: ['tcp:5432', 'udp:7000', 'tcp:9100'],
  batch: ['tcp:80'],
  metrics: ['tcp:4317', 'udp:4318'],
};

/** Each is tried over IPv4 and IPv6. */
export const chapters: readonly { title: string; attempts: readonly Attempt[] }[] = [
  {
    title: 'Containers on one host (alpha)',
    attempts: [
      { from: 'web', to: 'cache', protocol: 'tcp', port: 6379, allowed: true },
      { from: 'web', to: 'cache', protocol: 'udp', port: 11211, allowed: true },
      { from: 'web', to: 'cache', protocol: 'ping', allowed: true },
      { from: 'cache', to: 'web', protocol: 'tcp', port: 80, allowed: false },
      { from: 'cache', to: 'web', protocol: 'udp', port: 8125, allowed: false },
      { from: 'cache', to: 'web', protocol: 'ping', allowed: false },
    ],
  },
  {
    title: 'Containers on two hosts (alpha, beta)',
    attempts: [
      { from: 'web', to: 'db', protocol: 'tcp', port: 5432, allowed: true },
      { from: 'web', to: 'db', protocol: 'udp', port: 7000, allowed: true },
      { from: 'web', to: 'db', protocol: 'ping', allowed: true },
      { from: 'web', to: 'db', protocol: 'tcp', port: 9100, allowed: false },
      { from: 'cache', to: 'db', protocol: 'udp', port: 7000, allowed: false },
      { from: 'batch', to: 'cache', protocol: 'tcp', port: 6379, allowed: false },
      { from: 'db', to: 'web', protocol: 'ping', allowed: false },
    ],
  },
  {
    title: 'A host service (metrics, a plain process of alpha) and containers',
    attempts: [
      { from: 'metrics', to: 'web', protocol: 'tcp', port: 80, allowed: true },
      { from: 'metrics', to: 'db', protocol: 'tcp', port: 9100, allowed: true },
      { from: 'web', to: 'metrics', protocol: 'tcp', port: 4317, allowed: true },
      { from: 'db', to: 'metrics', protocol: 'udp', port: 4318, allowed: true },
      { from: 'metrics', to: 'db', protocol: 'tcp', port: 5432, allowed: false, atOnce: true },
      { from: 'metrics', to: 'db', protocol: 'udp', port: 7000, allowed: false, atOnce: true },
      { from: 'metrics', to: 'cache', protocol: 'tcp', port: 6379, allowed: false, atOnce: true },
      { from: 'metrics', to: 'db', protocol: 'ping', allowed: false },
      { from: 'cache', to: 'metrics', protocol: 'tcp', port: 4317, allowed: false },
      { from: 'batch', to: 'metrics', protocol: 'udp', port: 4318, allowed: false },
    ],
  },
];
