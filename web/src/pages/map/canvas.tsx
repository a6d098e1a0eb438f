// The drawing in the page, with keys for those who do not point: arrows go from node to node, Enter opens, Escape lets go, + and - zoom.
// It is one picture to who listens; the table beside it says the same.
import { useEffect, useRef, useState } from 'preact/hooks';
import { useIsDark } from '../../ui/appearance.js';
import { Button } from '../../ui/controls.js';
import { Empty } from '../../ui/states.js';
import type { MapData } from './model.js';
import { type Emphasis, Picture, type PictureEvents } from './picture.js';

const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const STEP = 1.4;

export function MapCanvas(props: {
  readonly data: MapData;
  readonly emphasis: Emphasis;
  readonly events: PictureEvents;
}) {
  const { data, emphasis, events } = props;
  const container = useRef<HTMLDivElement>(null);
  const picture = useRef<Picture>(undefined);
  const [broken, setBroken] = useState(false);
  const dark = useIsDark();
  const latest = useRef(events);
  latest.current = events;
  useEffect(() => {
    if (container.current === null) return;
    try {
      const made = new Picture(container.current, {
        onNode: (key) => latest.current.onNode(key),
        onEdge: (key) => latest.current.onEdge(key),
        onNothing: () => latest.current.onNothing(),
        onOpen: (key) => latest.current.onOpen(key),
        onLeave: () => latest.current.onLeave(),
      });
      picture.current = made;
      made.show(data);
      expose(container.current, made);
    } catch {
      setBroken(true);
    }
    return () => picture.current?.close();
  }, []);
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) picture.current?.show(data);
  }, [data]);
  useEffect(() => picture.current?.emphasize(emphasis), [emphasis]);
  useEffect(() => {
    if (!first.current) picture.current?.recolor();
    first.current = false;
  }, [dark]);
  const onKeyDown = (event: KeyboardEvent) => {
    const arrow = ARROWS[event.key];
    if (arrow !== undefined && event.shiftKey) picture.current?.pan(arrow[0] * 0.1, -arrow[1] * 0.1);
    else if (arrow !== undefined) {
      const next = picture.current?.neighbourOf(emphasis.node, ...arrow);
      if (next !== undefined) events.onNode(next);
    } else if (event.key === 'Enter' && emphasis.node !== '') events.onOpen(emphasis.node);
    else if (event.key === 'Escape') events.onNothing();
    else if (event.key === '+' || event.key === '=') picture.current?.zoom(STEP);
    else if (event.key === '-') picture.current?.zoom(1 / STEP);
    else if (event.key === '0') picture.current?.fit();
    else return;
    event.preventDefault();
  };
  if (broken) {
    return (
      <Empty title="This browser cannot draw the map" icon="table">
        It has no WebGL. Choose “Table” above: it lists the same connections, with the same filters.
      </Empty>
    );
  }
  const told = `Flow map: ${data.nodes.length} nodes, ${data.edges.length} connections. Arrow keys go from node to node, Enter opens one. The table view lists the same.`;
  return (
    <div class="map-canvas">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: keys move over the picture */}
      <section aria-label={told} tabIndex={0} class="map-keys" onKeyDown={onKeyDown}>
        <div ref={container} class="map-drawing" aria-hidden="true" data-testid="map" />
      </section>
      <div class="map-zoom">
        <Button small icon="zoomIn" label="Zoom in" onClick={() => picture.current?.zoom(STEP)} />
        <Button small icon="zoomOut" label="Zoom out" onClick={() => picture.current?.zoom(1 / STEP)} />
        <Button small icon="fit" label="Show all" onClick={() => picture.current?.fit()} />
      </div>
    </div>
  );
}

/** Where things are drawn, for tests that point at them: `element.rfPlaceOf(key)`. */
function expose(element: HTMLElement, picture: Picture): void {
  Object.assign(element, { rfPlaceOf: (key: string) => picture.placeOf(key) });
}
