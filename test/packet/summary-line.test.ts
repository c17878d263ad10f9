import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { formatSummaryLine } from "../../src/packet/summary-line.ts";
import { buildCapture } from "../fixtures/generate.ts";
import { pythonExecutable } from "../brokers.ts";

const scratch = mkdtempSync(path.join(tmpdir(), "summary-line-"));
after(() => rmSync(scratch, { recursive: true }));

/** Frames of scapy, by what they are; each is written as hex. */
const SCAPY_SCRIPT = `
from scapy.all import *
conf.verb = 0
e = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
a = IP(src="10.0.0.1", dst="10.0.0.2")
b = IPv6(src="2001:db8::1", dst="fe80::1:0:0:2")
frames = {
  "TCP with data": e/a/TCP(sport=1024, dport=80, flags="PA", seq=5, ack=9, window=512)/b"hello",
  "TCP SYN": e/a/TCP(sport=1024, dport=80, flags="S", seq=5, window=512),
  "TCP FIN": e/a/TCP(sport=1024, dport=80, flags="FA", seq=5, ack=9, window=512),
  "TCP ACK": e/a/TCP(sport=1024, dport=80, flags="A", seq=5, ack=9, window=512),
  "TCP RST over IPv6": e/b/TCP(sport=1024, dport=80, flags="R", seq=5, window=0),
  "UDP": e/a/UDP(sport=1000, dport=2000)/b"12345",
  "UDP over IPv6": e/b/UDP(sport=1000, dport=2000)/b"12345",
  "UDP in a VLAN": e/Dot1Q(vlan=5)/a/UDP(sport=1000, dport=2000)/b"12345",
  "DNS query": e/a/UDP(sport=1000, dport=53)/DNS(id=21, rd=1, qd=DNSQR(qname="www.example.org")),
  "DNS query AAAA": e/b/UDP(sport=1000, dport=53)/DNS(id=22, rd=0, qd=DNSQR(qname="example.org", qtype="AAAA")),
  "DNS answer": e/a/UDP(sport=53, dport=1000)/DNS(id=21, qr=1, rd=1, ra=1, qd=DNSQR(qname="a.org"), an=DNSRR(rrname="a.org", rdata="192.0.2.1")),
  "ICMP echo": e/a/ICMP(type=8, id=7, seq=3)/b"xxxx",
  "ICMP echo reply": e/a/ICMP(type=0, id=7, seq=3)/b"xxxx",
  "ICMPv6 echo": e/b/ICMPv6EchoRequest(id=7, seq=3, data=b"xxxx"),
  "ARP request": e/ARP(op=1, psrc="10.0.0.1", pdst="10.0.0.2"),
  "ARP reply": e/ARP(op=2, hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", pdst="10.0.0.2"),
  "another protocol": e/IP(src="10.0.0.1", dst="10.0.0.2", proto=253)/b"12345",
}
for name, frame in frames.items():
    print(name + "=" + bytes(frame).hex())
`;

const frames = execFileSync(pythonExecutable, ["-c", SCAPY_SCRIPT], {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "ignore"],
})
  .trim()
  .split("\n")
  .map((line) => {
    const [name = "", hex = ""] = line.split("=");
    return { name, bytes: Buffer.from(hex, "hex") };
  });

/** What tcpdump prints of a frame, without its time. */
function tcpdumpLine(bytes: Buffer): string {
  const file = path.join(scratch, "frame.pcap");
  writeFileSync(file, buildCapture({ frames: [{ bytes }] }));
  return execFileSync("tcpdump", ["-nn", "-S", "-t", "-r", file], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();
}

for (const { name, bytes } of frames) {
  test(`${name}: the line is tcpdump's`, () => {
    // Its guesses by port numbers, and options, are left out.
    const expected = tcpdumpLine(bytes)
      .replace(/: HTTP.*$/, "")
      .replace(/, options \[[^\]]*\]/, "")
      .replace(/ {2}ip-proto-(\d+) (\d+)$/, " ip-proto-$1, length $2")
      .replace(/^vlan (\d+), p 0, /, "vlan $1, ");
    const line = formatSummaryLine(bytes, 0, bytes.length, 1, bytes.length);
    assert.equal(line.replace(/^vlan \d+, /, ""), expected.replace(/^vlan \d+, /, ""));
    if (name.includes("VLAN")) assert.match(line, /^vlan 5, IP /);
  });
}

test("the same packets are read behind every link-layer header that holds IP", () => {
  const ip = frames.find(({ name }) => name === "UDP")!.bytes.subarray(14);
  const line = "IP 10.0.0.1.1000 > 10.0.0.2.2000: UDP, length 5";
  for (const [linkType, header] of [
    [0, "02000000"],
    [108, "00000002"],
    [101, ""],
    [228, ""],
    [113, "00000001000600000000000000000800"],
    [276, "0800000000000001000100060000000000000000"],
  ] as const) {
    const frame = Buffer.concat([Buffer.from(header, "hex"), ip]);
    assert.equal(formatSummaryLine(frame, 0, frame.length, linkType, frame.length), line);
  }
  assert.equal(formatSummaryLine(ip, 0, ip.length, 189, 99), "USB_LINUX, length 99");
});

test("a frame that is cut anywhere has a line, and says that it was cut", () => {
  for (const { name, bytes } of frames) {
    const whole = formatSummaryLine(bytes, 0, bytes.length, 1, bytes.length);
    for (let length = 0; length < bytes.length; length++) {
      const line = formatSummaryLine(bytes, 0, length, 1, bytes.length);
      assert.ok(line.length > 0 && !line.includes("\n"), name);
      if (length < 14 + 20) assert.match(line, /\[\|/, `${name} at ${length}`);
    }
    assert.ok(whole.length > 0);
  }
});

test("random bytes of every link type have a line of printable characters", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1, 12, 101, 105, 108, 113, 189, 228, 229, 276, 65_535),
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(...frames.map(({ bytes }) => bytes)),
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
      (linkType, random, frame, changes) => {
        const damaged = Buffer.from(frame);
        for (const [at, value] of changes) damaged[at % damaged.length] = value;
        for (const bytes of [Buffer.from(random), damaged]) {
          const line = formatSummaryLine(bytes, 0, bytes.length, linkType, bytes.length);
          assert.match(line, /^[\x20-\x7e]+$/);
        }
      },
    ),
    { numRuns: 3000 },
  );
});
