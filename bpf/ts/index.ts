// The TypeScript face of the BPF programs: layouts and codecs, constants, maps, programs. Pure except objectPath's URL.
export * from './constants.js';
export { EVENT_BYTES, EVENT_COLUMNS, EventColumns } from './events.js';
export { cName, type Field, type Fields, type Layout, layout, type ValueOf } from './layout.js';
export { DEFAULT_RING_BYTES, failsafePrefix, MAPS, type MapFace, type MapName, PORT_PREFIX } from './maps.js';
export {
  type Hook,
  objectPath,
  PROGRAMS,
  type ProgramFace,
  type ProgramName,
  RODATA,
  type RodataName,
} from './programs.js';
export { sipHash24 } from './siphash.js';
export * from './structs.js';
export { claimedIdentity, TAG_BYTES, TAG_SLOT_NS, type TagClaim, tagKeyHalves, tagOption } from './tag.js';
