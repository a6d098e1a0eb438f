import type { Command } from 'commander';
import type { App } from '../app.js';

/** Adds options, arguments, subcommands and actions to a command that has its name and summary already. */
export type Define = (command: Command, app: App) => void;

/** A command at the top level. Its definition is loaded when it is called, completed or documented. */
export interface Group {
  name: string;
  summary: string;
  load(): Promise<Define>;
}

/** All commands at the top level, in the order of help. */
export const groups: readonly Group[] = [
  {
    name: 'status',
    summary: 'how the controller and everything it sees stands',
    load: async () => (await import('./status.js')).define,
  },
  {
    name: 'host',
    summary: 'machines that run an agent: list, enrol, revoke',
    load: async () => (await import('./host.js')).define,
  },
  {
    name: 'workload',
    summary: 'what runs where, and under which labels',
    load: async () => (await import('./workload.js')).define,
  },
  {
    name: 'identity',
    summary: 'label sets that workloads share',
    load: async () => (await import('./identity.js')).define,
  },
  {
    name: 'dimension',
    summary: 'label dimensions and their values',
    load: async () => (await import('./dimension.js')).define,
  },
  {
    name: 'policy',
    summary: 'who may talk to whom: files, draft, versions',
    load: async () => (await import('./policy.js')).define,
  },
  {
    name: 'profile',
    summary: 'pairing profiles: what the holder of a key may become',
    load: async () => (await import('./pairing.js')).defineProfile,
  },
  {
    name: 'key',
    summary: 'pairing keys: make, list, revoke, look back',
    load: async () => (await import('./pairing.js')).defineKey,
  },
  {
    name: 'pairing',
    summary: 'what was paired by which key, and what was denied',
    load: async () => (await import('./pairing.js')).definePairing,
  },
  {
    name: 'quarantine',
    summary: 'cut workloads off but for the failsafes, and let them back',
    load: async () => (await import('./pairing.js')).defineQuarantine,
  },
  {
    name: 'audit',
    summary: 'who changed what, from where, when',
    load: async () => (await import('./audit.js')).define,
  },
  {
    name: 'flows',
    summary: 'who talks to whom, and what policy said',
    load: async () => (await import('./flows.js')).define,
  },
  {
    name: 'explain',
    summary: 'what policy says of one connection, and why',
    load: async () => (await import('./explain.js')).define,
  },
  {
    name: 'reach',
    summary: 'who may talk to whom, from manifests and policy files alone',
    load: async () => (await import('./reach.js')).define,
  },
  {
    name: 'nat',
    summary: 'translated addresses in front of workloads',
    load: async () => (await import('./nat.js')).define,
  },
  {
    name: 'space',
    summary: 'address spaces, who translates between them, and the way between two workloads',
    load: async () => (await import('./space.js')).define,
  },
  {
    name: 'tag',
    summary: 'in-band tags: who calls from behind an address that several share',
    load: async () => (await import('./tag.js')).define,
  },
  {
    name: 'web',
    summary: 'the web page: a link that signs you in, and who is signed in',
    load: async () => (await import('./web.js')).define,
  },
  {
    name: 'enroll',
    summary: 'give the agent of this machine its certificate',
    load: async () => (await import('./enroll.js')).define,
  },
  {
    name: 'doctor',
    summary: 'check this machine and the connection, with the fix for what is wrong',
    load: async () => (await import('./doctor.js')).define,
  },
  {
    name: 'completion',
    summary: 'completion script for a shell',
    load: async () => (await import('./completion.js')).define,
  },
  {
    name: 'version',
    summary: 'version of this program',
    load: async () => (await import('./version.js')).define,
  },
];
