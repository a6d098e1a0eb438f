// Edges on the graphics card: an arrow whose line is solid, dashed or dotted by verdict, beside the one that goes the other way.
//
// One instance per edge, a rectangle of two triangles. The shape is made in the fragment shader from the distance along the edge and the
// distance from its middle, both in pixels, so that dashes keep their length at every zoom.
import { EdgeProgram, type ProgramInfo } from 'sigma/rendering';
import type { EdgeDisplayData, NodeDisplayData, RenderParams } from 'sigma/types';
import { floatColor } from 'sigma/utils';
import type { VerdictName } from '../../ui/verdict.js';

export const PATTERNS: Readonly<Record<VerdictName, number>> = { allowed: 0, would: 1, blocked: 2, unknown: 0 };

/** What an edge of the map has beyond sigma's own. */
export interface PatternedEdge extends EdgeDisplayData {
  readonly pattern: number;
  /** How far to the side of the line between both ends it begins, in sizes. */
  readonly lane: number;
}

const VERTEX = /* glsl */ `
attribute vec2 a_start;
attribute vec2 a_end;
attribute float a_width;
attribute float a_startRadius;
attribute float a_endRadius;
attribute float a_pattern;
attribute float a_lane;
attribute vec4 a_color;
attribute vec4 a_id;
attribute vec2 a_corner;
uniform mat3 u_matrix;
uniform vec2 u_resolution;
uniform float u_sizeRatio;
varying vec4 v_color;
varying vec2 v_at;
varying float v_length;
varying float v_half;
varying float v_head;
varying float v_pattern;
const float bias = 255.0 / 254.0;

void main() {
  vec2 start = (u_matrix * vec3(a_start, 1.0)).xy * 0.5 * u_resolution;
  vec2 end = (u_matrix * vec3(a_end, 1.0)).xy * 0.5 * u_resolution;
  vec2 way = end - start;
  float whole = max(length(way), 0.001);
  vec2 along = way / whole;
  vec2 side = vec2(-along.y, along.x);
  v_half = max(a_width / u_sizeRatio, 1.2) * 0.5;
  v_head = clamp(v_half * 3.6, 3.0, 22.0);
  // As narrow as can be: what is drawn empty costs as much.
  float reach = max(v_half, v_head * 0.5) + 1.0;
  float from = min(a_startRadius / u_sizeRatio, whole * 0.5);
  float to = max(whole - a_endRadius / u_sizeRatio - 1.5, from);
  float at = mix(from, to, a_corner.x);
  vec2 place = start + along * at + side * (a_corner.y * reach - v_half - 1.5 - a_lane / u_sizeRatio);
  gl_Position = vec4(place / (0.5 * u_resolution), 0.0, 1.0);
  v_at = vec2(at - from, a_corner.y * reach);
  v_length = to - from;
  v_pattern = a_pattern;
  #ifdef PICKING_MODE
  v_color = a_id;
  #else
  v_color = a_color;
  #endif
  v_color.a *= bias;
}
`;

const FRAGMENT = /* glsl */ `
precision highp float;
varying vec4 v_color;
varying vec2 v_at;
varying float v_length;
varying float v_half;
varying float v_head;
varying float v_pattern;

void main() {
  float off = abs(v_at.y);
  float left = v_length - v_at.x;
  #ifdef PICKING_MODE
  if (off > max(v_half + 1.5, 4.0)) discard;
  gl_FragColor = v_color;
  #else
  float head = 1.0 - smoothstep(-0.6, 0.6, off - 0.5 * left);
  float line = 1.0 - smoothstep(v_half - 0.5, v_half + 0.5, off);
  float period = v_pattern < 1.5 ? 14.0 : 7.0;
  float drawn = v_pattern < 1.5 ? 8.0 : 2.6;
  if (v_pattern > 0.5) {
    float place = mod(v_at.x, period);
    line *= 1.0 - smoothstep(drawn - 0.6, drawn + 0.6, place) * (1.0 - smoothstep(period - 0.6, period, place));
  }
  float shape = left < v_head ? head : line;
  gl_FragColor = mix(vec4(0.0), v_color, shape);
  #endif
}
`;

const UNIFORMS = ['u_matrix', 'u_resolution', 'u_sizeRatio'] as const;
const { FLOAT, UNSIGNED_BYTE, TRIANGLES } = WebGLRenderingContext;

export class PatternedEdgeProgram extends EdgeProgram<(typeof UNIFORMS)[number]> {
  getDefinition() {
    const number = (name: string, size = 1) => ({ name, size, type: FLOAT });
    const bytes = (name: string) => ({ name, size: 4, type: UNSIGNED_BYTE, normalized: true });
    return {
      VERTICES: 6,
      VERTEX_SHADER_SOURCE: VERTEX,
      FRAGMENT_SHADER_SOURCE: FRAGMENT,
      METHOD: TRIANGLES,
      UNIFORMS,
      ATTRIBUTES: [
        number('a_start', 2),
        number('a_end', 2),
        number('a_width'),
        number('a_startRadius'),
        number('a_endRadius'),
        number('a_pattern'),
        number('a_lane'),
        bytes('a_color'),
        bytes('a_id'),
      ],
      CONSTANT_ATTRIBUTES: [number('a_corner', 2)],
      CONSTANT_DATA: [
        [0, 1],
        [0, -1],
        [1, 1],
        [1, 1],
        [0, -1],
        [1, -1],
      ],
    };
  }

  processVisibleItem(
    edgeIndex: number,
    startIndex: number,
    source: NodeDisplayData,
    target: NodeDisplayData,
    data: EdgeDisplayData,
  ): void {
    const { array } = this;
    const { pattern, lane } = data as PatternedEdge;
    const values = [source.x, source.y, target.x, target.y, data.size, source.size, target.size, pattern, lane];
    array.set(values, startIndex);
    array[startIndex + values.length] = floatColor(data.color);
    array[startIndex + values.length + 1] = edgeIndex;
  }

  setUniforms(params: RenderParams, { gl, uniformLocations }: ProgramInfo<(typeof UNIFORMS)[number]>): void {
    gl.uniformMatrix3fv(uniformLocations.u_matrix, false, params.matrix);
    gl.uniform2f(uniformLocations.u_resolution, params.width, params.height);
    gl.uniform1f(uniformLocations.u_sizeRatio, params.sizeRatio);
  }
}
