// The one record of every cell's connection, as Flow records say it: `source → destination verdict confidence | what each end saw`. `?` is
// nobody: one of several, none of which may. Confidence of a record is how surely both ends are named: exact (as observed), tagged (its SYN
// said who it is), mapped (told through a translation), shared (one of several), unknown. An inbound `shared` may be told as `mapped`, once
// the translating host has (nat-matrix.ts, told).
//
// Behind a port block of a gateway without an agent nobody tells whose port it was: the inbound record of UDP is given up in favour of the
// outbound one. What answers a ping to a one-to-one address is a host's kernel, without a socket: one end reports.
export const EXPECTED: Readonly<Record<string, string>> = {
  'published port, tcp v4, allowed': 'beta → a-web allowed tagged | out allowed mapped, in allowed tagged',
  'published port, tcp v4, denied by the server': 'beta → a-web blocked tagged | out allowed mapped, in blocked tagged',
  'published port, udp v4, allowed': 'beta → a-web allowed mapped | out allowed mapped, in allowed shared',
  'published port, udp v4, denied by the server': 'beta → a-web blocked mapped | out allowed mapped, in blocked shared',
  'published port, proxy on, tcp v4, allowed': 'alpha → b-web allowed tagged | out allowed mapped, in allowed tagged',
  'published port, proxy on, tcp v4, denied by the server':
    'alpha → b-web blocked tagged | out allowed mapped, in blocked tagged',
  'published port, proxy on, udp v4, allowed': 'alpha → b-web allowed mapped | out allowed mapped, in allowed shared',
  'published port, proxy on, udp v4, denied by the server':
    'alpha → b-web blocked mapped | out allowed mapped, in blocked shared',
  'published port + container SNAT, same range on both, tcp v4, allowed':
    'a-client → b-web allowed tagged | out allowed mapped, in allowed tagged',
  'published port + container SNAT, same range on both, tcp v4, denied by the client':
    'a-client → b-web blocked mapped | out blocked mapped',
  'published port + container SNAT, same range on both, udp v4, allowed':
    'a-client → b-web allowed mapped | out allowed mapped, in allowed shared',
  'published port + container SNAT, same range on both, udp v4, denied by the client':
    'a-client → b-web blocked mapped | out blocked mapped',
  'published port + container SNAT, back, tcp v4, allowed':
    'b-client → a-web allowed tagged | out allowed mapped, in allowed tagged',
  'published port + container SNAT, back, tcp v4, denied by the client':
    'b-client → a-web blocked mapped | out blocked mapped',
  'published port + container SNAT, back, udp v4, allowed':
    'b-client → a-web allowed mapped | out allowed mapped, in allowed shared',
  'published port + container SNAT, back, udp v4, denied by the client':
    'b-client → a-web blocked mapped | out blocked mapped',
  'same bridge, tcp v4, allowed': 'a-client → a-web allowed exact | out allowed exact, in allowed exact',
  'same bridge, tcp v4, denied by the client': 'a-client → a-web blocked exact | out blocked exact',
  'same bridge, udp v4, allowed': 'a-client → a-web allowed exact | out allowed exact, in allowed exact',
  'same bridge, udp v4, denied by the client': 'a-client → a-web blocked exact | out blocked exact',
  'plain, containers routed, tcp v6, allowed': 'a-client → b-web allowed exact | out allowed exact, in allowed exact',
  'plain, containers routed, tcp v6, denied by the client': 'a-client → b-web blocked exact | out blocked exact',
  'plain, containers routed, udp v6, allowed': 'a-client → b-web allowed exact | out allowed exact, in allowed exact',
  'plain, containers routed, udp v6, denied by the client': 'a-client → b-web blocked exact | out blocked exact',
  'host process to own published port, tcp v4, allowed':
    'alpha → a-web allowed exact | out allowed exact, in allowed tagged',
  'host process to own published port, tcp v4, denied by the server':
    'alpha → a-web blocked exact | out allowed exact, in blocked tagged',
  'host process to own published port, udp v4, allowed':
    'alpha → a-web allowed exact | out allowed exact, in allowed shared',
  'host process to own published port, udp v4, denied by the server':
    'alpha → a-web blocked exact | out allowed exact, in blocked shared',
  'host process to own published port, proxy on, tcp v4, allowed':
    'beta → b-web allowed exact | out allowed exact, in allowed exact',
  'host process to own published port, proxy on, tcp v4, denied by the server':
    'beta → b-web blocked exact | out allowed exact, in blocked exact',
  'host process to own published port, proxy on, udp v4, allowed':
    'beta → b-web allowed exact | out allowed exact, in allowed exact',
  'host process to own published port, proxy on, udp v4, denied by the server':
    'beta → b-web blocked exact | out allowed exact, in blocked exact',
  'hairpin, tcp v4, allowed': 'a-client → a-web allowed mapped | out allowed mapped, in allowed exact',
  'hairpin, tcp v4, denied by the client': 'a-client → a-web blocked mapped | out blocked mapped',
  'hairpin, udp v4, allowed': 'a-client → a-web allowed mapped | out allowed mapped, in allowed exact',
  'hairpin, udp v4, denied by the client': 'a-client → a-web blocked mapped | out blocked mapped',
  'hairpin by the bridge, proxy on, tcp v4, allowed':
    'b-client → b-web allowed mapped | out allowed mapped, in allowed exact',
  'hairpin by the bridge, proxy on, tcp v4, denied by the client':
    'b-client → b-web blocked mapped | out blocked mapped',
  'hairpin by the bridge, proxy on, udp v4, allowed':
    'b-client → b-web allowed mapped | out allowed mapped, in allowed exact',
  'hairpin by the bridge, proxy on, udp v4, denied by the client':
    'b-client → b-web blocked mapped | out blocked mapped',
  'published port, proxy on, tcp v6, allowed': 'a-client → b-web allowed mapped | out allowed mapped, in allowed exact',
  'published port, proxy on, tcp v6, denied by the client': 'a-client → b-web blocked mapped | out blocked mapped',
  'published port, proxy on, udp v6, allowed': 'a-client → b-web allowed mapped | out allowed mapped, in allowed exact',
  'published port, proxy on, udp v6, denied by the client': 'a-client → b-web blocked mapped | out blocked mapped',
  'gateway SNAT, tcp v4, allowed': 'gamma → a-web allowed tagged | out allowed mapped, in allowed tagged',
  'gateway SNAT, tcp v4, denied by the server': 'gamma → a-web blocked tagged | out allowed mapped, in blocked tagged',
  'gateway SNAT, udp v4, allowed': 'gamma → a-web allowed mapped | out allowed mapped, in allowed shared',
  'gateway SNAT, udp v4, denied by the server': 'gamma → a-web blocked mapped | out allowed mapped, in blocked shared',
  'gateway SNAT + container SNAT, tcp v4, allowed':
    'g-client → a-web allowed tagged | out allowed mapped, in allowed tagged',
  'gateway SNAT + container SNAT, tcp v4, denied by the client': 'g-client → a-web blocked mapped | out blocked mapped',
  'gateway SNAT + container SNAT, udp v4, allowed':
    'g-client → a-web allowed mapped | out allowed mapped, in allowed shared',
  'gateway SNAT + container SNAT, udp v4, denied by the client': 'g-client → a-web blocked mapped | out blocked mapped',
  'gateway mapping + published port, tcp v4, allowed':
    'a-client → g-web allowed tagged | out allowed mapped, in allowed tagged',
  'gateway mapping + published port, tcp v4, denied by the client':
    'a-client → g-web blocked mapped | out blocked mapped',
  'gateway mapping + published port, udp v4, allowed':
    'a-client → g-web allowed mapped | out allowed mapped, in allowed shared',
  'gateway mapping + published port, udp v4, denied by the client':
    'a-client → g-web blocked mapped | out blocked mapped',
  'one to one, inwards, tcp v4, allowed': 'a-client → d-svc allowed mapped | out allowed shared, in allowed shared',
  'one to one, inwards, tcp v4, denied by the client': 'a-client → ? blocked shared | out blocked shared',
  'one to one, inwards, udp v4, allowed': 'a-client → d-svc allowed mapped | out allowed shared, in allowed shared',
  'one to one, inwards, udp v4, denied by the client': 'a-client → ? blocked shared | out blocked shared',
  'one to one, outwards, tcp v4, allowed': 'd-svc → a-web allowed tagged | out allowed mapped, in allowed tagged',
  'one to one, outwards, tcp v4, denied by the client': 'd-svc → a-web blocked mapped | out blocked mapped',
  'one to one, outwards, udp v4, allowed': 'd-svc → a-web allowed mapped | out allowed mapped, in allowed shared',
  'one to one, outwards, udp v4, denied by the client': 'd-svc → a-web blocked mapped | out blocked mapped',
  'container SNAT, tcp v4, allowed': 'a-client → e-web allowed tagged | out allowed exact, in allowed tagged',
  'container SNAT, tcp v4, denied by the client': 'a-client → e-web blocked exact | out blocked exact',
  'container SNAT, udp v4, allowed': 'a-client → e-web allowed mapped | out allowed exact, in allowed shared',
  'container SNAT, udp v4, denied by the client': 'a-client → e-web blocked exact | out blocked exact',
  'gateway SNAT, tcp v6, allowed': 'gamma → e-web allowed tagged | out allowed exact, in allowed tagged',
  'gateway SNAT, tcp v6, denied by the server': 'gamma → e-web blocked tagged | out allowed exact, in blocked tagged',
  'gateway SNAT, udp v6, allowed': 'gamma → e-web allowed mapped | out allowed exact, in allowed shared',
  'gateway SNAT, udp v6, denied by the server': 'gamma → e-web blocked mapped | out allowed exact, in blocked shared',
  'gateway + container, tcp v6, allowed': 'g-client → e-web allowed tagged | out allowed exact, in allowed tagged',
  'gateway + container, tcp v6, denied by the client': 'g-client → e-web blocked exact | out blocked exact',
  'gateway + container, udp v6, allowed': 'g-client → e-web allowed mapped | out allowed exact, in allowed shared',
  'gateway + container, udp v6, denied by the client': 'g-client → e-web blocked exact | out blocked exact',
  'gateway mapping, tcp v6, allowed': 'a-client → g-web allowed mapped | out allowed mapped, in allowed exact',
  'gateway mapping, tcp v6, denied by the client': 'a-client → g-web blocked mapped | out blocked mapped',
  'gateway mapping, udp v6, allowed': 'a-client → g-web allowed mapped | out allowed mapped, in allowed exact',
  'gateway mapping, udp v6, denied by the client': 'a-client → g-web blocked mapped | out blocked mapped',
  'one to one, inwards, tcp v6, allowed': 'a-client → d-svc allowed mapped | out allowed shared, in allowed exact',
  'one to one, inwards, tcp v6, denied by the client': 'a-client → ? blocked shared | out blocked shared',
  'one to one, inwards, udp v6, allowed': 'a-client → d-svc allowed mapped | out allowed shared, in allowed exact',
  'one to one, inwards, udp v6, denied by the client': 'a-client → ? blocked shared | out blocked shared',
  'one to one, outwards, tcp v6, allowed': 'd-svc → e-web allowed tagged | out allowed exact, in allowed tagged',
  'one to one, outwards, tcp v6, denied by the client': 'd-svc → e-web blocked exact | out blocked exact',
  'one to one, outwards, udp v6, allowed': 'd-svc → e-web allowed mapped | out allowed exact, in allowed shared',
  'one to one, outwards, udp v6, denied by the client': 'd-svc → e-web blocked exact | out blocked exact',
  'second network, tcp v4, allowed': 'a-back → a-two allowed exact | out allowed exact, in allowed exact',
  'second network, tcp v4, denied by the client': 'a-back → a-two blocked exact | out blocked exact',
  'second network, udp v4, allowed': 'a-back → a-two allowed exact | out allowed exact, in allowed exact',
  'second network, udp v4, denied by the client': 'a-back → a-two blocked exact | out blocked exact',
  'second network + container SNAT, tcp v4, allowed':
    'a-back → b-web allowed tagged | out allowed mapped, in allowed tagged',
  'second network + container SNAT, tcp v4, denied by the client': 'a-back → b-web blocked mapped | out blocked mapped',
  'second network + container SNAT, udp v4, allowed':
    'a-back → b-web allowed mapped | out allowed mapped, in allowed shared',
  'second network + container SNAT, udp v4, denied by the client': 'a-back → b-web blocked mapped | out blocked mapped',
  'container on two networks, inwards, tcp v4, allowed':
    'a-client → a-two allowed exact | out allowed exact, in allowed exact',
  'container on two networks, inwards, tcp v4, denied by the client':
    'a-client → a-two blocked exact | out blocked exact',
  'container on two networks, inwards, udp v4, allowed':
    'a-client → a-two allowed exact | out allowed exact, in allowed exact',
  'container on two networks, inwards, udp v4, denied by the client':
    'a-client → a-two blocked exact | out blocked exact',
  'container on two networks, outwards, tcp v4, allowed':
    'a-two → b-web allowed tagged | out allowed mapped, in allowed tagged',
  'container on two networks, outwards, tcp v4, denied by the client':
    'a-two → b-web blocked mapped | out blocked mapped',
  'container on two networks, outwards, udp v4, allowed':
    'a-two → b-web allowed mapped | out allowed mapped, in allowed shared',
  'container on two networks, outwards, udp v4, denied by the client':
    'a-two → b-web blocked mapped | out blocked mapped',
  'host-network container, outwards, tcp v4, allowed':
    'a-hostnet → b-web allowed tagged | out allowed mapped, in allowed tagged',
  'host-network container, outwards, tcp v4, denied by the client':
    'a-hostnet → b-web blocked mapped | out blocked mapped',
  'host-network container, outwards, udp v4, allowed':
    'a-hostnet → b-web allowed mapped | out allowed mapped, in allowed shared',
  'host-network container, outwards, udp v4, denied by the client':
    'a-hostnet → b-web blocked mapped | out blocked mapped',
  'host-network container, inwards, tcp v4, allowed':
    'a-client → a-hostnet allowed exact | out allowed shared, in allowed exact',
  'host-network container, inwards, tcp v4, denied by the client': 'a-client → ? blocked shared | out blocked shared',
  'host-network container, inwards, udp v4, allowed':
    'a-client → a-hostnet allowed exact | out allowed shared, in allowed exact',
  'host-network container, inwards, udp v4, denied by the client': 'a-client → ? blocked shared | out blocked shared',
  'no agent, labelled, tcp v4, allowed': 'printer → e-web allowed exact | in allowed exact',
  'no agent, labelled, tcp v4, denied by the server': 'printer → e-web blocked exact | in blocked exact',
  'no agent, labelled, udp v4, allowed': 'printer → e-web allowed exact | in allowed exact',
  'no agent, labelled, udp v4, denied by the server': 'printer → e-web blocked exact | in blocked exact',
  'no agent, labelled, tcp v6, allowed': 'printer → e-web allowed exact | in allowed exact',
  'no agent, labelled, tcp v6, denied by the server': 'printer → e-web blocked exact | in blocked exact',
  'no agent, labelled, udp v6, allowed': 'printer → e-web allowed exact | in allowed exact',
  'no agent, labelled, udp v6, denied by the server': 'printer → e-web blocked exact | in blocked exact',
  'no agent, unknown, tcp v4, allowed': '? → e-web allowed unknown | in allowed unknown',
  'no agent, unknown, tcp v4, denied by the server': '? → e-web blocked unknown | in blocked unknown',
  'no agent, unknown, udp v4, allowed': '? → e-web allowed unknown | in allowed unknown',
  'no agent, unknown, udp v4, denied by the server': '? → e-web blocked unknown | in blocked unknown',
  'no agent, unknown, tcp v6, allowed': '? → e-web allowed unknown | in allowed unknown',
  'no agent, unknown, tcp v6, denied by the server': '? → e-web blocked unknown | in blocked unknown',
  'no agent, unknown, udp v6, allowed': '? → e-web allowed unknown | in allowed unknown',
  'no agent, unknown, udp v6, denied by the server': '? → e-web blocked unknown | in blocked unknown',
  'same bridge, icmp v4, allowed': 'a-client → a-web allowed exact | out allowed exact, in allowed exact',
  'same bridge, icmp v4, denied by the client': 'a-stranger → a-web blocked exact | out blocked exact',
  'container SNAT, icmp v4, allowed': 'a-client → e-web allowed mapped | out allowed exact, in allowed shared',
  'container SNAT, icmp v4, denied by the client': 'a-stranger → e-web blocked exact | out blocked exact',
  'plain, containers routed, icmp v6, allowed': 'a-client → e-web allowed exact | out allowed exact, in allowed exact',
  'plain, containers routed, icmp v6, denied by the client': 'a-stranger → e-web blocked exact | out blocked exact',
  'gateway + container, icmp v4, allowed': 'g-client → e-web allowed mapped | out allowed exact, in allowed shared',
  'gateway + container, icmp v4, denied by the client': 'g-web → e-web blocked exact | out blocked exact',
  'gateway + container, icmp v6, allowed': 'g-client → e-web allowed mapped | out allowed exact, in allowed shared',
  'gateway + container, icmp v6, denied by the client': 'g-web → e-web blocked exact | out blocked exact',
  'one to one, outwards, icmp v4, allowed': 'd-svc → e-web allowed mapped | out allowed exact, in allowed shared',
  'one to one, outwards, icmp v4, denied by the client': 'a-stranger → e-web blocked exact | out blocked exact',
  'one to one, outwards, icmp v6, allowed': 'd-svc → e-web allowed mapped | out allowed exact, in allowed shared',
  'one to one, outwards, icmp v6, denied by the client': 'a-stranger → e-web blocked exact | out blocked exact',
  'one to one, inwards, icmp v4, allowed': 'a-client → d-svc allowed shared | out allowed shared',
  'one to one, inwards, icmp v4, denied by the client': 'a-two → ? blocked shared | out blocked shared',
  'one to one, inwards, icmp v6, allowed': 'a-client → d-svc allowed shared | out allowed shared',
  'one to one, inwards, icmp v6, denied by the client': 'a-two → ? blocked shared | out blocked shared',
  'SNAT pool + container, tcp v4, allowed': 'g-client → e-web allowed tagged | out allowed exact, in allowed tagged',
  'SNAT pool + container, tcp v4, denied by the client': 'g-client → e-web blocked exact | out blocked exact',
  'SNAT pool + container, udp v4, allowed': 'g-client → e-web allowed mapped | out allowed exact, in allowed shared',
  'SNAT pool + container, udp v4, denied by the client': 'g-client → e-web blocked exact | out blocked exact',
  'SNAT port block + container, tcp v4, allowed':
    'g-client → e-web allowed tagged | out allowed exact, in allowed tagged',
  'SNAT port block + container, tcp v4, denied by the client': 'g-client → e-web blocked exact | out blocked exact',
  'SNAT port block + container, udp v4, allowed': 'g-client → e-web allowed exact | out allowed exact',
  'SNAT port block + container, udp v4, denied by the client': 'g-client → e-web blocked exact | out blocked exact',
};

/** Of g-client's connections to e-web that stay open while the gateway is replaced twice. */
export const EXPECTED_STREAMS: readonly string[] = [
  'g-client → e-web allowed mapped | out allowed exact, in allowed shared',
  'g-client → e-web allowed tagged | out allowed exact, in allowed tagged',
];
