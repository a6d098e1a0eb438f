// Every BPF object through this kernel's verifier, with the read-only data that the agent chooses here.
import { existsSync, statSync } from 'node:fs';
import { kernelFeatures } from '@ringfence/agent/datapath/features.js';
import { objectPath, PROGRAMS } from '@ringfence/bpf';
import { BpfObject, NativeError } from '@ringfence/native';
import { PINS } from './bed.js';
import { Fallback, type Report } from './report.js';

/** After the datapath was opened: what it loaded is pinned. missing: optional programs it does without, with the reason. */
export async function reportLoaded(report: Report, missing: Readonly<Record<string, string>>): Promise<void> {
  for (const { name, object } of Object.values(PROGRAMS)) {
    await report.check(`load ${object}`, () => {
      const why = missing[name];
      if (why !== undefined) return without(name, why);
      if (!existsSync(`${PINS}/progs/${name}`)) throw new Error(`no ${name} is pinned`);
      return undefined;
    });
  }
}

/**
 * When it could not be opened, or only objects were asked for: each by itself, so that every refusal is seen and not only the first;
 * small ones first, since a verifier that gives up on a large one takes minutes under emulation.
 */
export async function loadEach(report: Report): Promise<void> {
  const size = (object: string) => statSync(objectPath(object)).size;
  const programs = Object.values(PROGRAMS).sort((a, b) => size(a.object) - size(b.object));
  for (const { name, object, required } of programs) {
    await report.check(`load ${object}`, () => {
      using open = BpfObject.open(objectPath(object));
      const known = new Set(open.variables().map((variable) => variable.name));
      const { rodata } = kernelFeatures(false);
      open.setRodata(Object.fromEntries(Object.entries(rodata).filter(([variable]) => known.has(variable))));
      try {
        open.load();
        return undefined;
      } catch (error) {
        if (required || !(error instanceof NativeError)) throw error;
        return without(name, error.message);
      }
    });
  }
}

function without(name: string, why: string): Fallback {
  return new Fallback(`done without ${name}: ${why.replaceAll('\n', ' | ')}`);
}
