// What is on disk, and what is read from it: the database, the authority, numbers that are given once.
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RuleNames } from '../api/rule-names.js';
import { currentCaller } from '../audit/caller.js';
import { auditEntries } from '../audit/entries.js';
import { AuditTrimmer } from '../audit/retention.js';
import { Authority } from '../ca/authority.js';
import { makePrivateDirectory } from '../ca/files.js';
import { Isolation } from '../keys/isolation.js';
import { Revisions } from '../session/revisions.js';
import { StoreError } from '../store/driver.js';
import { PersistentNumbers } from '../store/numbers.js';
import { openSqlite } from '../store/sqlite.js';
import { StateStore } from '../store/state-store.js';
import { WorkloadIndex } from '../store/workload-index.js';
import type { Context } from './context.js';

export type State = Awaited<ReturnType<typeof openState>>;

/** Rejects, with what to do, on a state directory that cannot be used. */
export async function openState({ config, log, now, closers }: Context) {
  const store = openStore(config.stateDir);
  closers.push(() => store.close());
  store.setAuditor((changes) => auditEntries(changes, currentCaller(), now()));
  const trimmer = new AuditTrimmer({
    store,
    retention: config.audit,
    now,
    onError: (error) => log.error({ err: error }, 'the audit log could not be trimmed; trying again'),
  });
  closers.push(() => trimmer.stop());
  const epoch = await epochOf(store, now);
  const authority = await Authority.open(config.stateDir, now);
  const identities = new PersistentNumbers(store, 'identity');
  const ipClasses = new PersistentNumbers(store, 'ipClass');
  const ruleNumbers = new PersistentNumbers(store, 'rule');
  const revisions = new Revisions(store);
  const index = new WorkloadIndex(store);
  const ruleNames = new RuleNames(store);
  const isolation = new Isolation(store);
  return { store, epoch, authority, identities, ipClasses, ruleNumbers, revisions, index, ruleNames, isolation };
}

function openStore(stateDir: string): StateStore {
  makePrivateDirectory(stateDir);
  const file = join(stateDir, 'controller.db');
  // The authority is made after the database, so a database that is missing beside it was lost.
  if (Authority.existsIn(stateDir) && !existsSync(file)) {
    throw new StoreError(
      'RF_STORE_CORRUPT',
      `Cannot open database ${file}: found an authority beside it but no database; restore a backup of both`,
    );
  }
  const driver = openSqlite(file);
  try {
    return new StateStore(driver);
  } catch (error) {
    driver.close();
    throw error;
  }
}

/** Names the line of revisions: another database is another line. */
async function epochOf(store: StateStore, now: () => number): Promise<string> {
  return store.update((tx) => {
    const known = tx.get('system', 'system');
    if (known !== undefined) return known.epoch;
    const epoch = randomUUID();
    tx.set('system', 'system', { epoch, createdMs: now() });
    return epoch;
  });
}
