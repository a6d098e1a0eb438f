// The map as a list: the same connections, the same filters, for everybody who does not look at drawings.
import { bytes, count, service, time } from '../../ui/format.js';
import { type Column, Table } from '../../ui/table.js';
import { VERDICT_WORDS, VerdictMark } from '../../ui/verdict.js';
import { bytesOf, type MapData, type MapEdge } from './model.js';

interface Row {
  readonly edge: MapEdge;
  readonly source: string;
  readonly target: string;
  readonly services: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { name: 'From', cell: ({ source }) => source, sort: ({ source }) => source },
  { name: 'To', cell: ({ target }) => target, sort: ({ target }) => target },
  {
    name: 'Verdict',
    cell: ({ edge }) => (
      <>
        <VerdictMark verdict={edge.verdict} />
        {edge.before && (
          <span class="muted small">
            {' '}
            {edge.before === edge.verdict ? 'in part' : `was ${VERDICT_WORDS[edge.before]}`}
          </span>
        )}
      </>
    ),
    sort: ({ edge }) => edge.verdict,
  },
  { name: 'Services', cell: ({ services }) => <code>{services}</code>, sort: ({ services }) => services },
  { name: 'Attempts', cell: ({ edge }) => count(edge.sums.count), sort: ({ edge }) => edge.sums.count, number: true },
  {
    name: 'Volume',
    cell: ({ edge }) => bytes(bytesOf(edge.sums)),
    sort: ({ edge }) => bytesOf(edge.sums),
    number: true,
  },
  {
    name: 'Last seen',
    cell: ({ edge }) => time(edge.sums.lastSeenUs / 1000),
    sort: ({ edge }) => edge.sums.lastSeenUs,
    number: true,
  },
];

export function MapTable(props: {
  readonly data: MapData;
  readonly chosen: string;
  readonly onChoose: (key: string) => void;
}) {
  const { data, chosen, onChoose } = props;
  const names = new Map(data.nodes.map(({ key, title }) => [key, title]));
  const rows = data.edges.map((edge): Row => {
    const services = [...new Set(edge.services.map(({ protocol, port }) => service(protocol, port)))];
    const more = services.length > 4 ? ` +${services.length - 4}` : '';
    return {
      edge,
      source: names.get(edge.source) ?? edge.source,
      target: names.get(edge.target) ?? edge.target,
      services: services.slice(0, 4).join(' ') + more,
    };
  });
  return (
    <Table
      caption="Connections"
      columns={COLUMNS}
      rows={rows}
      keyOf={({ edge }) => edge.key}
      chosen={chosen}
      onChoose={({ edge }) => onChoose(edge.key)}
      sortBy={{ column: 5, descending: true }}
    />
  );
}
