// One guest: boots, runs its checks, powers itself off. No network device, no disk: all it has is the image.
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import type { Line } from '../guest/report.js';

export interface BootResult {
  /** What the guest wrote, in order. */
  readonly lines: readonly Line[];
  readonly seconds: number;
  /** Why there is no more of it; '' when the guest came to its end. */
  readonly problem: string;
}

// mitigations=off: retpolines are slow under emulation; the verifier treats a privileged loader alike with and without.
const MEMORY_MIB = 1024;
const NICE = 15;

/** dir: for the console's log and the results. timeoutMs: whole life of the guest. only: 'objects' leaves out the packets. */
export async function bootGuest(
  kernel: string,
  initrd: string,
  dir: string,
  timeoutMs: number,
  only: 'objects' | 'all',
): Promise<BootResult> {
  const [consoleLog, results] = [join(dir, 'console.log'), join(dir, 'results.jsonl')];
  for (const file of [consoleLog, results]) writeFileSync(file, '');
  // q35: on the older pc machine some kernels panic now and then under emulation. Serial 0 is the console, serial 1 the results.
  const args = `-M q35 -cpu qemu64 -accel tcg,thread=multi -smp 1 -m ${MEMORY_MIB} -nodefaults -display none -no-reboot`;
  const child = spawn(
    'qemu-system-x86_64',
    [
      ...args.split(' '),
      ...[
        '-kernel',
        kernel,
        '-initrd',
        initrd,
        '-append',
        `console=ttyS0 loglevel=4 panic=-1 mitigations=off RF_ONLY=${only}`,
      ],
      ...['-serial', `file:${consoleLog}`, '-serial', `file:${results}`],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  if (child.pid !== undefined) setPriority(child.pid, NICE);
  const started = performance.now();
  let complaints = '';
  child.stderr.on('data', (data: Buffer) => {
    complaints += data.toString();
  });
  let problem = '';
  const timer = setTimeout(() => {
    problem = `no end within ${timeoutMs / 1000} s`;
    child.kill('SIGKILL');
  }, timeoutMs);
  const stopped = () => child.kill('SIGKILL');
  process.once('exit', stopped);
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      complaints += error.message;
      resolve(null);
    });
    child.once('close', resolve);
  });
  clearTimeout(timer);
  process.off('exit', stopped);
  const seconds = (performance.now() - started) / 1000;
  const lines = parseLines(readFileSync(results, 'utf8'));
  if (problem === '' && !lines.some((line) => line.kind === 'end')) {
    const tail = readFileSync(consoleLog, 'utf8').trimEnd().split('\n').slice(-4).join(' | ');
    problem = `guest ended early (qemu ${code}) ${complaints.trim()} ${tail}`;
  }
  return { lines, seconds, problem };
}

/** A guest that is killed may leave half a line; it is dropped, and its lack of an end is reported anyway. */
function parseLines(text: string): Line[] {
  return text.split('\n').flatMap((line) => {
    try {
      return line.trim() === '' ? [] : [JSON.parse(line) as Line];
    } catch {
      return [];
    }
  });
}
