import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { addonPath, testProgram } from './test-support.js';

/** Runs code with the raw addon as `n`; gives what it printed as JSON. */
function inProcess(code: string, flags: string[] = []): unknown {
  const prelude = `const n = require(${JSON.stringify(addonPath)}); const print = (value) => console.log(JSON.stringify(value));`;
  return JSON.parse(execFileSync(process.execPath, [...flags, '-e', `${prelude}\n${code}`], { encoding: 'utf8' }));
}

const RING = 'n.createMap(27, "rfnat_life", 0, 0, 65536, 0, -1)';
const CONSUMER = `n.createRing([[${RING}.fd()]], 128, 16, 4, 500, 1, 5, null, () => {})`;

describe('handles', () => {
  test('forgotten ones are closed by the garbage collector', () => {
    const counts = inProcess(
      `const fds = () => require('node:fs').readdirSync('/proc/self/fd').length;
       (async () => {
         const before = fds();
         (() => { for (let i = 0; i < 200; i++) n.createMap(1, 'rfnat_gc', 4, 4, 1, 0, -1); })();
         const during = fds();
         for (let i = 0; i < 50 && fds() > before; i++) { gc(); await new Promise(setImmediate); }
         print({ during: during - before, after: fds() - before });
       })();`,
      ['--expose-gc'],
    );
    expect(counts).toEqual({ during: 200, after: 0 });
  });

  test('cannot be made by hand, nor methods lent to another class', () => {
    expect(
      inProcess(`
        const map = n.createMap(1, 'rfnat_hand', 4, 4, 1, 0, -1);
        const program = n.openObjectFile(${JSON.stringify(testProgram('basic'))}, '');
        const message = (fn) => { try { fn(); return 'no error'; } catch (e) { return e.message; } };
        print([
          message(() => new map.constructor()),
          message(() => new map.constructor(3)),
          message(() => map.lookup.call(program, new Uint8Array(4))),
          message(() => map.lookup.call({}, new Uint8Array(4))),
        ]);`),
    ).toEqual([
      expect.stringContaining('Cannot construct a native handle'),
      expect.stringContaining('Cannot construct a native handle'),
      expect.stringContaining('Illegal invocation'),
      expect.stringContaining('Illegal invocation'),
    ]);
  });

  test('every export refuses missing arguments without harm', () => {
    const answers = inProcess(`
      const out = {};
      for (const [name, fn] of Object.entries(n)) {
        try { fn(); out[name] = 'fine'; } catch (e) { out[name] = /^Cannot /.test(e.message) ? 'refused' : e.message; }
      }
      print(out);`) as Record<string, string>;
    const fine = Object.keys(answers).filter((name) => answers[name] === 'fine');
    expect(fine.sort()).toEqual(['effectiveCapabilities', 'listInterfaces', 'possibleCpus', 'readClocks']);
    expect(Object.values(answers).filter((answer) => answer !== 'fine' && answer !== 'refused')).toEqual([]);
  });
});

describe('environments', () => {
  test('the addon loads twice in one process, each copy with its own error class', () => {
    expect(
      inProcess(`
        delete require.cache[${JSON.stringify(addonPath)}];
        const m = require(${JSON.stringify(addonPath)});
        class A extends Error {} class B extends Error {}
        n.setErrorClass(A); m.setErrorClass(B);
        const thrown = (x) => { try { x.mapFromId(0xfffffff0); } catch (e) { return e.constructor.name; } };
        print([m === n, thrown(n), thrown(m)]);`),
    ).toEqual([false, 'A', 'B']);
  });

  test('twenty workers come and go with open handles', async () => {
    const code = `
      const n = require(${JSON.stringify(addonPath)});
      globalThis.kept = [n.openObjectFile(${JSON.stringify(testProgram('basic'))}, ''), n.createMap(1, 'rfnat_w', 4, 4, 9, 0, -1)];
      kept[0].load();
      kept.push(kept[0].program('show'), kept[0].map('t_hash'));
      require('node:worker_threads').parentPort.postMessage(kept[2].testRun(new Uint8Array(64), 0, new Uint8Array(0), 1, 0, '').retval);`;
    for (let i = 0; i < 10; i++) {
      const pair = [0, 1].map(() => new Worker(code, { eval: true }));
      const answers = await Promise.all(pair.map((worker) => once(worker, 'message')));
      expect(answers).toEqual([[3], [3]]);
      await Promise.all(pair.map((worker) => worker.terminate()));
    }
  });

  test('process.exit with a running consumer ends at once with its code', () => {
    const { status, signal, stderr } = spawnSync(
      process.execPath,
      ['-e', `const n = require(${JSON.stringify(addonPath)}); ${CONSUMER}; setTimeout(() => process.exit(3), 20);`],
      { encoding: 'utf8', timeout: 20_000 },
    );
    expect({ status, signal, stderr }).toEqual({ status: 3, signal: null, stderr: '' });
  });

  test('a consumer keeps the process alive until it is closed', () => {
    expect(inProcess(`const ring = ${CONSUMER}; setTimeout(() => ring.close().then(() => print('closed')), 20);`)).toBe(
      'closed',
    );
  });

  test('what a batch handler throws is an uncaught exception, and delivery goes on', () => {
    const object = JSON.stringify(testProgram('rings'));
    expect(
      inProcess(`
        const o = n.openObjectFile(${object}, '');
        const rodata = o.variables().filter((v) => v.section === '.rodata');
        const bytes = o.initialValue('.rodata');
        const set = (name, value) => new DataView(bytes.buffer).setUint32(rodata.find((v) => v.name === name).offset, value, true);
        set('cpus', n.possibleCpus()); set('per_run', 10);
        o.setInitialValue('.rodata', bytes);
        o.setMaxEntries('t_rings', 2 * n.possibleCpus());
        const rings = Array.from({ length: n.possibleCpus() }, () => n.createMap(27, 'rfnat_life', 0, 0, 4096, 0, -1));
        o.setInnerMap('t_rings', rings[0].fd());
        o.load();
        const outer = o.map('t_rings');
        rings.forEach((ring, i) => outer.setInner(new Uint8Array(Uint32Array.of(i).buffer), ring.fd()));
        const seen = [];
        process.on('uncaughtException', (e) => seen.push(e.message));
        const consumer = n.createRing([rings.map((r) => r.fd())], 128, 4, 4, 500, 1, 5, null, (b, count, lane, slot) => {
          consumer.release(lane, slot);
          throw new Error('handler ' + count);
        });
        o.program('produce').testRun(new Uint8Array(64), 0, new Uint8Array(0), 1, 0, '');
        consumer.close().then(() => print(seen));`),
    ).toEqual(['handler 4', 'handler 4', 'handler 2']);
  });
});
