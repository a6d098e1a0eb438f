import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestTerminal } from '../testing/terminal.js';

const pods = (name: string, labels: string) =>
  `---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}}\nspec: {template: {metadata: {labels: {${labels}}}, spec: {containers: []}}}\n`;
const policy = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}], egress: [{to: [{podSelector: {}}]}]}
`;
const rows = [
  { src: 'default/a[Deployment]', dst: 'default/b[Deployment]', conn: 'TCP 80' },
  { src: 'default/b[Deployment]', dst: 'default/a[Deployment]', conn: 'TCP 80' },
];
const text = rows.map(({ src, dst, conn }) => `${src} => ${dst} : ${conn}\n`).join('');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rf-reach-'));
  await writeFile(join(folder, 'pods.yaml'), pods('a', 'app: a') + pods('b', 'app: b'));
  await writeFile(join(folder, 'policy.yml'), policy);
});
afterAll(() => rm(folder, { recursive: true }));

describe('reach', { timeout: 60_000 }, () => {
  test('reads a folder without any controller: text, JSON, one JSON document for each line', async () => {
    const table = new TestTerminal({ columns: 40 });
    expect(await table.run('reach', folder)).toBe(0);
    expect(table.stdout.text).toBe(text);
    const json = new TestTerminal();
    expect(await json.run('reach', folder, '-o', 'json')).toBe(0);
    expect(JSON.parse(json.stdout.text)).toEqual(rows);
    const lines = new TestTerminal();
    expect(await lines.run('reach', folder, '-o', 'jsonl')).toBe(0);
    expect(
      lines.stdout.text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(rows);
  });

  test('reads files, standard input and a file that is named twice', async () => {
    const file = join(folder, 'pods.yaml');
    const terminal = new TestTerminal({ stdin: policy });
    expect(await terminal.run('reach', file, folder, file, '-')).toBe(2);
    expect(terminal.stderr.text).toContain('netpol/default/all');
    const once = new TestTerminal({ stdin: policy });
    expect(await once.run('reach', file, file, '-')).toBe(0);
    expect(once.stdout.text).toBe(text);
  });

  test('prints no row and ends with 2 when a file cannot be read or said, at its place', async () => {
    const bad = join(folder, 'bad.yaml');
    await writeFile(bad, 'kind: Deployment\nmetadata: {name: {{ .Values.name }}}\n');
    const terminal = new TestTerminal();
    expect(await terminal.run('reach', folder)).toBe(2);
    expect(terminal.stdout.text).toBe('');
    expect(terminal.stderr.text).toContain(`${bad}:2:`);
    const json = new TestTerminal();
    expect(await json.run('reach', folder, '-o', 'json')).toBe(2);
    expect(json.stdout.text).toBe('');
    expect(JSON.parse(json.stderr.text.split('\n')[0] ?? '')).toMatchObject({ severity: 'error', file: bad, line: 2 });
    await rm(bad);
  });

  test('what does not exist is told with exit code 4, a folder without manifests with 2', async () => {
    const terminal = new TestTerminal();
    expect(await terminal.run('reach', join(folder, 'none'))).toBe(4);
    expect(terminal.stderr.text).toContain('Cannot read manifests');
    expect(await new TestTerminal().run('reach')).toBe(2);
  });

  test('says what it left out, on standard error', async () => {
    const values = join(folder, 'values.yaml');
    await writeFile(values, 'replicaCount: 3\n');
    const terminal = new TestTerminal();
    expect(await terminal.run('reach', folder)).toBe(0);
    expect(terminal.stdout.text).toBe(text);
    expect(terminal.stderr.text).toContain('values.yaml');
    await rm(values);
  });

  test('prints for the examples of docs/reach what their pages say', async () => {
    const docs = new URL('../../../docs/reach/', import.meta.url).pathname;
    const names = await readdir(docs);
    const examples = names.filter((name) => name.endsWith('.txt')).map((name) => name.slice(0, -4));
    expect(examples.length).toBeGreaterThanOrEqual(5);
    for (const example of examples) {
      const files = [`${example}.yaml`, `${example}.policy.yaml`].filter((name) => names.includes(name));
      const terminal = new TestTerminal();
      expect(await terminal.run('reach', ...files.map((name) => join(docs, name)))).toBe(0);
      expect(terminal.stdout.text).toBe(await readFile(join(docs, `${example}.txt`), 'utf8'));
    }
  });
});
