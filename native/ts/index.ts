// The public face of the native addon. What each thing promises stands in its own file.
export type { BtfEnum, BtfMember, BtfStruct, BtfTypes } from './btf.js';
export { readBtf } from './btf.js';
export type { ClsactPlace } from './clsact.js';
export { clsactAttach, clsactDetach, clsactQuery, clsactRemoveQdisc } from './clsact.js';
export type { ConntrackCounters, ConntrackHandlers, ConntrackOptions } from './conntrack.js';
export { CONNTRACK, ConntrackKind, ConntrackReader } from './conntrack.js';
export type { TcDirection } from './constants.js';
export { AttachType, LinkType, MapFlag, MapType, ProgramType, UpdateFlag } from './constants.js';
export type { NativeErrorCode, NativeErrorDetail } from './error.js';
export { NativeError } from './error.js';
export type { Feature, FeatureName } from './features.js';
export { FEATURES, probeFeatures } from './features.js';
export type { NetInterface } from './interfaces.js';
export { listInterfaces, netnsIdOfProcess } from './interfaces.js';
export type { SocketTuple } from './kernel.js';
export {
  cgroupId,
  destroySocket,
  destroySockets,
  effectiveCapabilities,
  ensureBpffs,
  interfaceIndex,
  netnsCookie,
  possibleCpus,
  readClocks,
  unpin,
} from './kernel.js';
export type { AttachedList, AttachedProgram, LinkInfo, TcxOrder, TcxPlace } from './link.js';
export { BpfLink, queryCgroup, queryTcx } from './link.js';
export type { BatchResult, MapDump, MapInfo, MapSpec } from './map.js';
export { BpfMap } from './map.js';
export type { ObjectMap, ObjectProgram, ObjectVariable, VariableValue } from './object.js';
export { BpfObject } from './object.js';
export { execBounded } from './privilege.js';
export type { ProgramInfo, SkbContext, TestRunOptions, TestRunResult } from './program.js';
export { BpfProgram, readSkbContext, skbContext } from './program.js';
export type { RecordFields, RingBatch, RingFold, RingLaneCounters, RingOptions } from './ring.js';
export { RingConsumer } from './ring.js';
