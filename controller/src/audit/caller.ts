// Who causes what happens now, carried along asynchronous calls: the audit log names him without every function passing him on.
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Actor } from '../store/audit.js';

const callers = new AsyncLocalStorage<Actor>();

const CONTROLLER: Actor = { name: 'controller', address: '' };

/** Runs `body`, and all that it begins, in a caller's name. */
export function asCaller<T>(caller: Actor, body: () => T): T {
  return callers.run(caller, body);
}

/** The caller; the controller itself where nobody called. */
export function currentCaller(): Actor {
  return callers.getStore() ?? CONTROLLER;
}
