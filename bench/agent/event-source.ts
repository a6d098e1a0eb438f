// A process that writes events into an agent's own rings, at a rate, through bpf/tests/event_source.bpf.c. Of its own, so that what it costs
// is none of the agent's. Arguments: JSON of SourceOptions. Says {started} and, at its end, SourceResult, over the process channel.
import { fileURLToPath } from 'node:url';
import { ABI_VERSION, MAPS } from '@ringfence/bpf';
import { BpfObject, NativeError, readClocks } from '@ringfence/native';

export interface SourceOptions {
  /** Of the agent. */
  readonly pinPath: string;
  /** The agent's number of the endpoint that events are told of. */
  readonly endpoint: number;
  /** Open at any time. */
  readonly connections: number;
  /** Events of one connection, from its first to its last. */
  readonly life: number;
  /** Wanted; fewer come when the processors are busy. */
  readonly eventsPerSecond: number;
  readonly seconds: number;
}

export interface SourceResult {
  /** Events asked for; the kernel's lanes say how many were made. */
  readonly events: number;
  readonly seconds: number;
  /** Nanoseconds in the program for one event, with the test run around it. */
  readonly nsPerEvent: number;
}

/** Events in one call at most: between two calls the source looks at the clock. */
const MOST = 10_000;
/** An Ethernet frame: the program does not look at it. */
const FRAME = new Uint8Array(64);

function load({ pinPath, endpoint, connections, life }: SourceOptions): BpfObject {
  const url = new URL('../../../bpf/build/tests/event_source.bpf.o', import.meta.url);
  const object = BpfObject.open(fileURLToPath(url));
  object.setRodata({
    rf_source_endpoint: endpoint,
    rf_source_connections: connections,
    rf_source_life: life,
    rf_source_loaded_ns: readClocks().monotonicNs,
  });
  for (const name of Object.keys(MAPS)) object.reuseMap(name, `${pinPath}/v${ABI_VERSION}/maps/${name}`);
  object.load();
  return object;
}

function produce(options: SourceOptions): SourceResult {
  using object = load(options);
  using program = object.program('rf_test_source');
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const startedMs = performance.now();
  const endMs = startedMs + options.seconds * 1000;
  let [events, ns] = [0, 0];
  for (let now = startedMs; now < endMs; now = performance.now()) {
    const due = Math.floor(((now - startedMs) / 1000) * options.eventsPerSecond) - events;
    if (due <= 0) {
      Atomics.wait(pause, 0, 0, 0.2);
      continue;
    }
    const repeat = Math.min(due, MOST);
    try {
      ns += program.testRun({ data: FRAME, repeat }).durationNs * repeat;
    } catch (error) {
      // A signal ended the call early: fewer were made, which the lanes know.
      if (!(error instanceof NativeError && error.errnoName === 'EINTR')) throw error;
    }
    events += repeat;
  }
  return { events, seconds: (performance.now() - startedMs) / 1000, nsPerEvent: ns / events };
}

process.send?.(produce(JSON.parse(process.argv[2] ?? '') as SourceOptions));
process.disconnect?.();
