// Child process of the store's kill test: commits pairs of records and prints each number once its commit has resolved.
import { openSqlite } from '../store/sqlite.js';

const db = openSqlite(process.argv[2] ?? '');
for (let i = 0; ; i++) {
  await db.commit([
    { kind: 'k', key: `a${i}`, value: String(i) },
    { kind: 'k', key: `b${i}`, value: String(i) },
  ]);
  process.stdout.write(`${i}\n`);
}
