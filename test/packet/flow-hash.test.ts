import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { flowHash, hashOrigin } from "../../src/packet/flow-hash.ts";

const TCP = 6;
const UDP = 17;

interface Flow {
  readonly version: 4 | 6;
  readonly source: Buffer;
  readonly destination: Buffer;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly protocol: number;
}

const address = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes));
const port = fc.integer({ min: 0, max: 65_535 });
const anyFlow: fc.Arbitrary<Flow> = fc.record({
  version: fc.constantFrom(4, 6),
  source: address,
  destination: address,
  sourcePort: port,
  destinationPort: port,
  protocol: fc.constantFrom(TCP, UDP, 132, 33, 136, 1, 58, 47),
});

/** Every layer that is looked through: the bytes in front of an IP packet, by version. */
const LOOKED_THROUGH: readonly { name: string; linkType: number; front: (flow: Flow) => Buffer }[] =
  [
    { name: "Ethernet", linkType: 1, front: (flow) => hex(macs(flow), etherType(flow)) },
    { name: "802.1Q", linkType: 1, front: (flow) => hex(macs(flow), "81000007", etherType(flow)) },
    {
      name: "stacked VLAN tags",
      linkType: 1,
      front: (flow) => hex(macs(flow), "88a80001", "91000002", "81000003", etherType(flow)),
    },
    {
      name: "PPPoE",
      linkType: 1,
      front: (flow) => hex(macs(flow), "8864110000010020", flow.version === 4 ? "0021" : "0057"),
    },
    { name: "MPLS", linkType: 1, front: (flow) => hex(macs(flow), "88470001004000020140") },
    {
      name: "cooked",
      linkType: 113,
      front: (flow) => hex("0000000100060200000000010000", etherType(flow)),
    },
    {
      name: "cooked with a VLAN tag",
      linkType: 113,
      front: (flow) => hex("000000010006020000000001000081000007", etherType(flow)),
    },
    {
      name: "cooked v2",
      linkType: 276,
      front: (flow) => hex(etherType(flow), "0000000000020001040602000000000100", "00"),
    },
    { name: "NULL", linkType: 0, front: (flow) => hex(flow.version === 4 ? "02" : "0a", "000000") },
    { name: "NULL, swapped", linkType: 0, front: (flow) => hex("000000", family(flow)) },
    { name: "LOOP", linkType: 108, front: (flow) => hex("000000", family(flow)) },
    { name: "RAW", linkType: 101, front: () => hex() },
    { name: "RAW as DLT 12", linkType: 12, front: () => hex() },
    { name: "RAW as DLT 14", linkType: 14, front: () => hex() },
  ];

for (const { name, linkType, front } of LOOKED_THROUGH) {
  test(`${name}: both directions of a conversation hash to what raw IP hashes to`, () => {
    fc.assert(
      fc.property(anyFlow, (flow) => {
        const there = Buffer.concat([front(flow), ipPacket(flow)]);
        const back = Buffer.concat([front(reverse(flow)), ipPacket(reverse(flow))]);
        const hash = hashOf(there, linkType);
        assert.equal(hashOf(back, linkType), hash);
        assert.equal(hashOf(ipPacket(flow), 101), hash);
      }),
      { numRuns: 50 },
    );
  });
}

test("IPV4 and IPV6 link types are raw IP of that version", () => {
  const flow = someFlow();
  assert.equal(hashOf(ipPacket(flow), 228), hashOf(ipPacket(flow), 101));
  const flow6: Flow = { ...flow, version: 6 };
  assert.equal(hashOf(ipPacket(flow6), 229), hashOf(ipPacket(flow6), 101));
});

test("ports, addresses and protocol each tell conversations apart", () => {
  for (const version of [4, 6] as const) {
    const flow: Flow = { ...someFlow(), version };
    const others: Flow[] = [
      { ...flow, sourcePort: flow.sourcePort + 1 },
      { ...flow, destinationPort: flow.destinationPort + 1 },
      { ...flow, source: Buffer.from("0a0000090a0000090a0000090a000009", "hex") },
      { ...flow, protocol: UDP },
      { ...flow, sourcePort: flow.destinationPort, destinationPort: flow.sourcePort },
    ];
    const hashes = [flow, ...others].map((each) => hashOf(ipPacket(each), 101));
    assert.equal(new Set(hashes).size, hashes.length);
  }
});

test("all fragments of an IPv4 packet hash alike, whatever their first bytes are", () => {
  const flow = someFlow();
  const fragments = ["2000", "6000", "20b9", "00b9"].map((flagsAndOffset, index) => {
    const packet = ipPacket({ ...flow, sourcePort: index * 17 });
    packet.write(flagsAndOffset, 6, "hex");
    return hashOf(packet, 101);
  });
  assert.equal(new Set(fragments).size, 1);
  const whole = ipPacket(flow);
  whole.write("4000", 6, "hex");
  assert.equal(hashOf(whole, 101), hashOf(ipPacket(flow), 101), "don't-fragment is no fragment");
  assert.notEqual(fragments[0], hashOf(whole, 101));
});

test("all fragments of an IPv6 packet hash alike", () => {
  const flow: Flow = { ...someFlow(), version: 6 };
  const fragments = [0x0001, 0x00b9, 0x00b8].map((offset, index) => {
    const fragmentHeader = hex(byte(TCP), "00", offset.toString(16).padStart(4, "0"), "00000001");
    return hashOf(ipv6With(44, fragmentHeader, { ...flow, sourcePort: index }), 101);
  });
  assert.equal(new Set(fragments).size, 1);
});

test("IPv6 extension headers are walked to the ports", () => {
  const flow: Flow = { ...someFlow(), version: 6 };
  const plain = hashOf(ipPacket(flow), 101);
  const hopThenDestination = hex("3c00", "000000000000", byte(TCP), "01", "00".repeat(14));
  const routing = hex(byte(TCP), "02", "00".repeat(22));
  const authentication = hex(byte(TCP), "04", "00".repeat(22));
  assert.equal(hashOf(ipv6With(0, hopThenDestination, flow), 101), plain);
  assert.equal(hashOf(ipv6With(43, routing, flow), 101), plain);
  assert.equal(hashOf(ipv6With(51, authentication, flow), 101), plain);
});

test("IPv4 options are skipped to the ports", () => {
  const flow = someFlow();
  const plain = ipPacket(flow);
  const withOptions = Buffer.concat([plain.subarray(0, 20), hex("01010101"), plain.subarray(20)]);
  withOptions[0] = 0x46;
  assert.equal(hashOf(withOptions, 101), hashOf(plain, 101));
});

test("ICMP goes by addresses, not by what lies where ports would be", () => {
  const flow: Flow = { ...someFlow(), protocol: 1 };
  const other = { ...flow, sourcePort: 9, destinationPort: 10 };
  assert.equal(hashOf(ipPacket(flow), 101), hashOf(ipPacket(other), 101));
});

test("a tunnel goes by its outer header", () => {
  const outer: Flow = { ...someFlow(), protocol: 47 };
  const one = Buffer.concat([ipPacket(outer).subarray(0, 20), ipPacket(someFlow())]);
  const other = Buffer.concat([ipPacket(outer).subarray(0, 20), Buffer.alloc(40, 7)]);
  assert.equal(hashOf(one, 101), hashOf(other, 101));
});

test("Ethernet without IP goes by both link-layer addresses", () => {
  const there = hex("0200000000010200000000020806", "0001080006040001");
  const back = hex("0200000000020200000000010806", "0001080006040002");
  const elsewhere = hex("0200000000030200000000020806", "0001080006040001");
  assert.equal(hashOf(there, 1), hashOf(back, 1));
  assert.notEqual(hashOf(there, 1), hashOf(elsewhere, 1));
  const spanningTree = [0x26, 0x40].map((length) =>
    hashOf(hex("0180c2000000020000000002", "00", byte(length), "424203"), 1),
  );
  assert.equal(spanningTree[0], spanningTree[1], "802.3 lengths say nothing");
});

test("802.11 goes by receiver and transmitter, behind radiotap too", () => {
  const there = hex("0801", "0000", "020000000001", "020000000002", "020000000003", "0000");
  const back = hex("0802", "0000", "020000000002", "020000000001", "020000000003", "0000");
  const radiotap = hex("00000c0000000000", "00000000");
  assert.equal(hashOf(there, 105), hashOf(back, 105));
  assert.equal(hashOf(Buffer.concat([radiotap, there]), 127), hashOf(back, 105));
  const acknowledgements = ["020000000001", "020000000002"].map((receiver) =>
    hashOf(hex("d400", "0000", receiver), 105),
  );
  assert.equal(acknowledgements[0], acknowledgements[1], "an ACK has one address only");
});

test("what has no addresses goes by link type and origin alone", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const frame = Buffer.from(bytes);
      assert.equal(hashOf(frame, 189), hashOf(Buffer.alloc(0), 189));
      assert.notEqual(hashOf(frame, 189), hashOf(frame, 227));
      const eth0 = flowHash(frame, 0, frame.length, 189, hashOrigin("a/usbmon0"));
      assert.notEqual(eth0, flowHash(frame, 0, frame.length, 189, hashOrigin("a/usbmon1")));
    }),
  );
});

test("a cut frame goes by what is there", () => {
  const flow = someFlow();
  const frame = Buffer.concat([hex(macs(flow), "0800"), ipPacket(flow)]);
  const icmpLike = hashOf(ipPacket(flow).subarray(0, 20), 101);
  assert.equal(hashOf(frame.subarray(0, 37), 1), icmpLike, "ports cut off: addresses, protocol");
  const noAddresses = hashOf(frame.subarray(0, 33), 1);
  assert.equal(noAddresses, hashOf(frame.subarray(0, 14), 1), "addresses cut off: link layer");
  assert.equal(hashOf(frame.subarray(0, 13), 1), hashOf(Buffer.alloc(0), 1));
});

test("random bytes of any link type give a number and never throw, and nothing outside is read", () => {
  const linkTypes = [0, 1, 12, 14, 101, 105, 108, 113, 127, 189, 228, 229, 276];
  const typical = fc.constantFrom("", "45", "60", "0800", "86dd", "8100", "8864", "8847");
  fc.assert(
    fc.property(
      fc.constantFrom(...linkTypes),
      fc.nat(20),
      typical,
      fc.uint8Array({ maxLength: 120 }),
      (linkType, lead, marker, tail) => {
        const frame = Buffer.concat([Buffer.alloc(lead), hex(marker), tail]);
        const hash = hashOf(frame, linkType);
        assert.ok(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 31, String(hash));
        const surrounded = Buffer.concat([hex("ffff"), frame, Buffer.alloc(90, 0xff)]);
        assert.equal(flowHash(surrounded, 2, 2 + frame.length, linkType), hash);
      },
    ),
    { numRuns: 2000 },
  );
});

for (const partitions of [4, 64]) {
  test(`neighbouring conversations spread evenly over ${partitions} partitions`, () => {
    for (const version of [4, 6] as const) {
      const counts = Array.from({ length: partitions }, () => 0);
      const flows = 64_000;
      for (let n = 0; n < flows; n++) {
        const source = Buffer.alloc(16, 10);
        source.writeUInt16BE(n % 256, version === 4 ? 2 : 14);
        const flow: Flow = { ...someFlow(), version, source, sourcePort: 1024 + (n >> 8) * 2 };
        counts[hashOf(ipPacket(flow), 101) % partitions]!++;
      }
      // Chi-square against the even spread; its mean is partitions - 1, its variance twice that.
      const expected = flows / partitions;
      const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      const limit = partitions - 1 + 5 * Math.sqrt(2 * (partitions - 1));
      assert.ok(chiSquare < limit, `IPv${version}: chi-square ${chiSquare}, limit ${limit}`);
    }
  });
}

function hashOf(frame: Buffer, linkType: number): number {
  return flowHash(frame, 0, frame.length, linkType);
}

function someFlow(): Flow {
  return {
    version: 4,
    source: Buffer.alloc(16, 10),
    destination: Buffer.alloc(16, 192),
    sourcePort: 40_000,
    destinationPort: 443,
    protocol: TCP,
  };
}

function reverse(flow: Flow): Flow {
  return {
    ...flow,
    source: flow.destination,
    destination: flow.source,
    sourcePort: flow.destinationPort,
    destinationPort: flow.sourcePort,
  };
}

function ipPacket(flow: Flow): Buffer {
  if (flow.version === 6) return ipv6With(flow.protocol, Buffer.alloc(0), flow);
  const packet = Buffer.alloc(40);
  packet[0] = 0x45;
  packet[9] = flow.protocol;
  flow.source.copy(packet, 12, 0, 4);
  flow.destination.copy(packet, 16, 0, 4);
  packet.writeUInt16BE(flow.sourcePort, 20);
  packet.writeUInt16BE(flow.destinationPort, 22);
  return packet;
}

function ipv6With(nextHeader: number, extensions: Buffer, flow: Flow): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header[6] = nextHeader;
  flow.source.copy(header, 8);
  flow.destination.copy(header, 24);
  const transport = Buffer.alloc(20);
  transport.writeUInt16BE(flow.sourcePort, 0);
  transport.writeUInt16BE(flow.destinationPort, 2);
  return Buffer.concat([header, extensions, transport]);
}

function macs(flow: Flow): string {
  return flow.source.toString("hex", 0, 6) + flow.destination.toString("hex", 0, 6);
}

function etherType(flow: Flow): string {
  return flow.version === 4 ? "0800" : "86dd";
}

function family(flow: Flow): string {
  return flow.version === 4 ? "02" : "1e";
}

function byte(value: number): string {
  return value.toString(16).padStart(2, "0");
}

function hex(...parts: string[]): Buffer {
  return Buffer.from(parts.join(""), "hex");
}
