// Where the programs are attached: TCX links (or clsact filters on older kernels) at interfaces, cgroup links at the agent's
// cgroup root. Links are pinned, so they outlive the process; filters outlive it by themselves.
import { PROGRAMS, type ProgramName } from '@ringfence/bpf';
import {
  type AttachType,
  BpfLink,
  type BpfProgram,
  type ClsactPlace,
  clsactAttach,
  clsactDetach,
  clsactQuery,
  interfaceIndex,
  NativeError,
  queryTcx,
} from '@ringfence/native';
import type { DesiredInterface } from '../desired/desired.js';
import type { Pins } from './pins.js';
import { PROGRAM_NAMES, type Programs } from './programs.js';

const SIDES = ['ingress', 'egress'] as const;
const TC_PROGRAM = { ingress: 'rf_tc_ingress', egress: 'rf_tc_egress' } as const;
/** The first two note whose socket connects, the last writes. */
const TAG_WRITERS: readonly ProgramName[] = ['rf_connect4', 'rf_connect6', 'rf_sock_ops'];
/** Filters of ours are known by these; nothing else should use them. */
const CLSACT_PRIORITY = 4719;
const CLSACT_HANDLE = 1;

/** One place where one program belongs. */
interface Hook {
  /** Also the name of the link's pin. */
  readonly name: string;
  readonly program: ProgramName;
  readonly target: DesiredInterface | 'cgroup';
  readonly side: 'ingress' | 'egress' | undefined;
}

export class Attachments {
  readonly #pins: Pins;
  readonly #mode: 'tcx' | 'clsact';
  readonly #cgroupRoot: string;
  #programs: Programs;
  /** TCX and cgroup links by pin name. */
  readonly #links = new Map<string, BpfLink>();
  /** SYNs are given tags: connect hooks and rf_sock_ops are wanted whatever workloads there are. */
  #writesTags = false;
  /** clsact filters by hook name. */
  readonly #filters = new Map<string, ClsactPlace>();

  constructor(pins: Pins, mode: 'tcx' | 'clsact', cgroupRoot: string, programs: Programs) {
    this.#pins = pins;
    this.#mode = mode;
    this.#cgroupRoot = cgroupRoot;
    this.#programs = programs;
  }

  /** Takes over pinned links, and filters at the interfaces that the kernel's endpoint table names. */
  adopt(ifindexes: Iterable<number>): void {
    for (const name of this.#pins.names('links'))
      this.#links.set(name, BpfLink.fromPin(this.#pins.path('links', name)));
    this.#writesTags = this.#links.has(hookAtCgroup('rf_sock_ops').name);
    for (const ifindex of ifindexes) {
      for (const side of SIDES) {
        const place = filterPlace(ifindex, side);
        if (queryFilter(place) !== undefined) this.#filters.set(hookName(ifindex, side), place);
      }
    }
  }

  /** Every link and filter runs these programs from now on, each switched atomically. */
  switchPrograms(programs: Programs): void {
    this.#programs = programs;
    for (const [name, link] of this.#links) {
      const program = programs.get(programOf(name));
      if (program === undefined) this.#drop(name);
      else if (isLive(link) && link.info().progId !== program.info.id) link.update(program);
    }
    for (const [name, place] of this.#filters) clsactAttach(this.#program(programOf(name)), place);
  }

  /** Whether this kernel takes what writes tags. */
  get canWriteTags(): boolean {
    return TAG_WRITERS.every((name) => this.#programs.has(name));
  }

  get writesTags(): boolean {
    return this.#writesTags;
  }

  /** From the next attach and detachOthers on. */
  setWritesTags(writes: boolean): void {
    this.#writesTags = writes && this.canWriteTags;
  }

  /** Attaches what is missing. Returns the names of what was new. An interface that is gone is no error. */
  attach(interfaces: readonly DesiredInterface[], cgroupHooks: boolean): string[] {
    const fresh: string[] = [];
    try {
      for (const hook of this.#hooks(interfaces, cgroupHooks)) if (this.#ensure(hook)) fresh.push(hook.name);
    } catch (error) {
      for (const name of fresh) this.#drop(name);
      throw error;
    }
    return fresh;
  }

  /** Detaches what is not wanted any more. */
  detachOthers(interfaces: readonly DesiredInterface[], cgroupHooks: boolean): void {
    const wanted = new Set(this.#hooks(interfaces, cgroupHooks).map((hook) => hook.name));
    for (const name of [...this.#links.keys(), ...this.#filters.keys()]) if (!wanted.has(name)) this.#drop(name);
  }

  /** Undoes an attach. */
  drop(names: readonly string[]): void {
    for (const name of names) this.#drop(name);
  }

  /** Names of wanted hooks that the kernel does not run now: detached by others, interface gone, never attached. */
  broken(interfaces: readonly DesiredInterface[], cgroupHooks: boolean): string[] {
    return this.#hooks(interfaces, cgroupHooks)
      .filter((hook) => !this.#runs(hook))
      .map((hook) => hook.name);
  }

  /** What runs, in words, by interface name; cgroup hooks under ''. */
  running(interfaces: readonly DesiredInterface[], cgroupHooks: boolean): Map<string, string[]> {
    const out = new Map<string, string[]>();
    for (const hook of this.#hooks(interfaces, cgroupHooks)) {
      if (!this.#runs(hook)) continue;
      const at = hook.target === 'cgroup' ? '' : hook.target.name;
      const words =
        hook.target === 'cgroup'
          ? `${hook.program} ${this.#cgroupRoot}`
          : `${this.#mode}/${hook.side ?? ''} ${hook.target.name}`;
      out.set(at, [...(out.get(at) ?? []), words]);
    }
    return out;
  }

  get linkIds(): Map<string, number> {
    return new Map([...this.#links].map(([name, link]) => [name, link.info().id]));
  }

  dropAll(): void {
    for (const name of [...this.#links.keys(), ...this.#filters.keys()]) this.#drop(name);
  }

  /** Everything stays attached. */
  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.#filters.clear();
  }

  /** Socket owners are recorded before packets are decided, so that the first packet already has one. */
  #hooks(interfaces: readonly DesiredInterface[], cgroupHooks: boolean): Hook[] {
    const tc = interfaces.flatMap((target) =>
      SIDES.map((side): Hook => ({ name: hookName(target.ifindex, side), program: TC_PROGRAM[side], target, side })),
    );
    const rank = (name: ProgramName) => (name === 'rf_sock_create' ? 0 : 1);
    const cgroup = PROGRAM_NAMES.filter((name) => this.#programs.has(name) && this.#isWanted(name, cgroupHooks))
      .sort((a, b) => rank(a) - rank(b))
      .map(hookAtCgroup);
    return [...cgroup, ...tc];
  }

  #isWanted(name: ProgramName, cgroupHooks: boolean): boolean {
    if (this.#writesTags && TAG_WRITERS.includes(name)) return true;
    return cgroupHooks && PROGRAMS[name].hook.startsWith('cgroup');
  }

  #program(name: ProgramName): BpfProgram {
    const program = this.#programs.get(name);
    if (program === undefined) throw new Error(`Cannot attach ${name}: found it not loaded`);
    return program;
  }

  #runs(hook: Hook): boolean {
    if (hook.target !== 'cgroup' && this.#mode === 'clsact') {
      const place = this.#filters.get(hook.name);
      return place !== undefined && queryFilter(place) === this.#program(hook.program).info.id;
    }
    const link = this.#links.get(hook.name);
    if (link === undefined || !isLive(link)) return false;
    if (hook.target === 'cgroup' || hook.side === undefined) return true;
    const { id } = link.info();
    return queryTcx({ ifindex: hook.target.ifindex, direction: hook.side }).programs.some((p) => p.linkId === id);
  }

  /** True when it had to be attached. False also when its interface is gone. */
  #ensure(hook: Hook): boolean {
    if (hook.target !== 'cgroup' && interfaceIndex(hook.target.name) !== hook.target.ifindex) return false;
    if (this.#runs(hook)) return false;
    this.#drop(hook.name);
    const program = this.#program(hook.program);
    if (hook.target === 'cgroup' || hook.side === undefined) {
      const attachType = PROGRAMS[hook.program].attachType as AttachType;
      this.#keep(hook.name, BpfLink.attachCgroup(program, this.#cgroupRoot, attachType));
      return true;
    }
    const { ifindex } = hook.target;
    try {
      if (this.#mode === 'clsact') {
        const place = filterPlace(ifindex, hook.side);
        clsactAttach(program, place);
        this.#filters.set(hook.name, place);
      } else {
        // First in line: nothing that another program passes or redirects escapes the decision.
        this.#keep(hook.name, BpfLink.attachTcx(program, { ifindex, direction: hook.side, order: 'head' }));
      }
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
    return true;
  }

  #keep(name: string, link: BpfLink): void {
    link.pin(this.#pins.path('links', name));
    this.#links.set(name, link);
  }

  #drop(name: string): void {
    const link = this.#links.get(name);
    if (link !== undefined) {
      this.#links.delete(name);
      this.#pins.remove('links', name);
      if (isLive(link)) link.detach();
      link.close();
    }
    const place = this.#filters.get(name);
    if (place !== undefined) {
      this.#filters.delete(name);
      try {
        clsactDetach(place);
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }
  }
}

function hookAtCgroup(program: ProgramName): Hook {
  return { name: `cg_${program}`, program, target: 'cgroup', side: undefined };
}

function hookName(ifindex: number, side: 'ingress' | 'egress'): string {
  return `tc_${ifindex}_${side}`;
}

function programOf(hook: string): ProgramName {
  if (hook.startsWith('cg_')) return hook.slice(3) as ProgramName;
  return hook.endsWith('_ingress') ? TC_PROGRAM.ingress : TC_PROGRAM.egress;
}

function filterPlace(ifindex: number, direction: 'ingress' | 'egress'): ClsactPlace {
  return { ifindex, direction, priority: CLSACT_PRIORITY, handle: CLSACT_HANDLE };
}

function queryFilter(place: ClsactPlace): number | undefined {
  try {
    return clsactQuery(place);
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** A link without its interface or cgroup is defunct. */
function isLive(link: BpfLink): boolean {
  const info = link.info();
  return info.ifindex !== 0 || info.cgroupId !== 0n;
}

function isGone(error: unknown): boolean {
  return error instanceof NativeError && (error.code === 'RF_NOT_FOUND' || error.errnoName === 'ENODEV');
}
