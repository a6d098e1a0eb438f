// A process that owns a datapath, for tests: forked inside the network namespace of its host, told what to do by messages, killed
// at will. Speaks advanced serialisation, so buffers and bigints travel as they are.

import type { RenderConfig } from '../../desired/desired.js';
import { applyUpdate, emptyInstructions, type Instructions } from '../../desired/instructions.js';
import type { LocalWorkload } from '../../desired/local.js';
import { Renderer } from '../../desired/renderer.js';
import type { InstructionUpdate } from '../../desired/update.js';
import { Datapath, type DatapathOptions } from '../datapath.js';

/** What can be asked. One request at a time. */
export type Request =
  | { readonly do: 'open'; readonly options: Omit<DatapathOptions, 'onSwept'>; readonly config: RenderConfig }
  | { readonly do: 'apply'; readonly update: InstructionUpdate; readonly locals: readonly LocalWorkload[] }
  | { readonly do: 'verify' | 'status' | 'sweep' | 'counters' | 'links' | 'close' | 'detach' };

/** The answer to a request: its value, or the error's code and text. */
export type Answer =
  | { readonly value: unknown }
  | { readonly error: { readonly code: string; readonly message: string } };

let datapath: Datapath | undefined;
let renderer: Renderer | undefined;
let inForce: Instructions = emptyInstructions();

async function answer(request: Request): Promise<unknown> {
  if (request.do === 'open') {
    datapath = Datapath.open(request.options);
    renderer = new Renderer(request.config, datapath.recovered);
    return datapath.status().start;
  }
  if (datapath === undefined || renderer === undefined) throw new Error('not open');
  switch (request.do) {
    case 'apply': {
      const result = applyUpdate(inForce, undefined, request.update);
      if (result.kind !== 'complete') return result;
      const applied = await datapath.apply(renderer.render(result.next, request.locals));
      if (applied.kind === 'ok') inForce = result.next;
      else await datapath.apply(renderer.render(inForce, request.locals));
      return applied;
    }
    case 'verify':
      return datapath.verify();
    case 'status':
      return datapath.status();
    case 'sweep':
      return datapath.sweepFlows();
    case 'counters':
      return datapath.counters();
    case 'links':
      return Object.fromEntries(datapath.linkIds);
    case 'close':
      return datapath.close();
    case 'detach':
      return datapath.detachAll();
  }
}

process.on('message', (request: Request) => {
  answer(request).then(
    (value) => process.send?.({ value } satisfies Answer),
    (error: unknown) => {
      const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
      process.send?.({
        error: { code, message: error instanceof Error ? error.message : String(error) },
      } satisfies Answer);
    },
  );
});
process.send?.({ value: 'ready' } satisfies Answer);
