import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { openLibpcapSource } from "../../src/capture/libpcap-engine.ts";
import type { LiveSource, LiveSourceOptions } from "../../src/capture/live-source.ts";
import { assertSameFrames, type CapturedFrame } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame, type ReadFrame } from "../fixtures/generate.ts";
import {
  stoppedAtLast,
  stopOpened,
  OWN_ADDRESS,
  toOwnAddress,
  captureTimeUs,
  keepLog,
  liveOptions,
  startReading,
} from "./live-capture.ts";
import { ENDS_WITH_THIS_PROCESS, stampFramesOnce, startTcpdump } from "./tcpdump.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

/* What the libpcap engine captures, beside what tcpdump captures at the same moment. */

const LIMIT = { timeout: 60_000 };

let veth: VethPair;
let stopStamping: () => Promise<void>;
before(async () => {
  stopStamping = await stampFramesOnce();
  veth = await createVethPair();
});
after(async () => {
  await stopOpened();
  await veth.remove();
  await stopStamping();
});

function open(options: Partial<LiveSourceOptions> = {}): Promise<LiveSource> {
  const { interfaceName = veth.name } = options;
  return stoppedAtLast(openLibpcapSource(liveOptions(interfaceName, options), keepLog()));
}

/** As tcpdump's file has them, with microseconds or nanoseconds. */
function asCaptured(frames: readonly ReadFrame[], nanosecond = false): CapturedFrame[] {
  return frames.map(({ seconds, nanoseconds, wireLength, bytes }) => ({
    seconds,
    fraction: nanosecond ? nanoseconds : nanoseconds / 1000,
    capturedLength: bytes.length,
    wireLength,
    bytes,
  }));
}

/**
 * Captures with the engine and with tcpdump while something is sent, and holds one against the other:
 * the same frames, times and lengths.
 */
async function captureBeside(
  options: Partial<LiveSourceOptions>,
  tcpdumpOptions: readonly string[],
  count: number,
  send: () => Promise<unknown>,
): Promise<readonly ReadFrame[]> {
  const source = await open(options);
  const tcpdump = await startTcpdump(source.name, tcpdumpOptions);
  const reading = await startReading(source);
  await send();
  const frames = await reading.stopAfter(count);
  const isPromiscuous = options.promiscuous !== false && source.name !== "any";
  const expected = await tcpdump.stopAfter(count);
  assert.equal(source.interfaces[0]!.linkType, expected.linkType);
  assert.equal(expected.nanosecond, options.nanosecond === true);
  assertSameFrames(asCaptured(frames, options.nanosecond), expected.frames);
  assert.equal(frames.length, count);
  assert.deepEqual(source.counters(), {
    received: count,
    droppedByKernel: 0,
    droppedByInterface: isPromiscuous ? 0 : undefined,
    filtered: 0,
  });
  return frames;
}

function udpFrames(count: number, length: number): { bytes: Buffer }[] {
  return Array.from({ length: count }, (_, n) => ({ bytes: buildUdpFrame(n, length) }));
}

for (const nanosecond of [false, true]) {
  const unit = nanosecond ? "nanoseconds" : "microseconds";
  test(
    `40,000 frames arrive in order with their bytes, and with tcpdump's times to the ${unit.slice(0, -1)}`,
    LIMIT,
    async () => {
      const sent = udpFrames(40_000, 120);
      const precision = ["--time-stamp-precision", nanosecond ? "nano" : "micro"];
      const frames = await captureBeside({ nanosecond }, precision, sent.length, () =>
        veth.send(buildCapture({ frames: sent }), ["--pps=20000"]),
      );
      for (const [n, { bytes }] of frames.entries()) {
        assert.ok(bytes.equals(sent[n]!.bytes), `frame ${n}`);
      }
      const times = frames.map(captureTimeUs);
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      );
      if (nanosecond) assert.ok(frames.some(({ nanoseconds }) => nanoseconds % 1000 !== 0));
    },
  );
}

test("frames of every length up to 64 KiB arrive whole", LIMIT, async () => {
  const sent = [14, 15, 42, 60, 1514, 9014, 65_014].flatMap((length) =>
    Array.from({ length: 20 }, (_, n) => {
      const bytes = Buffer.alloc(length, n);
      buildUdpFrame(n, 60).copy(bytes);
      return { bytes };
    }),
  );
  const frames = await captureBeside({}, [], sent.length, () =>
    veth.send(buildCapture({ frames: sent }), ["--pps=2000"]),
  );
  assert.deepEqual(
    frames.map(({ bytes }) => bytes),
    sent.map(({ bytes }) => bytes),
  );
});

test("a snaplen cuts frames and keeps their wire length", LIMIT, async () => {
  const sent = udpFrames(500, 1000);
  const frames = await captureBeside({ snapLengthBytes: 64 }, ["-s", "64"], sent.length, () =>
    veth.send(buildCapture({ frames: sent }), ["--pps=10000"]),
  );
  for (const [n, { bytes, wireLength }] of frames.entries()) {
    assert.ok(bytes.equals(sent[n]!.bytes.subarray(0, 64)), `frame ${n}`);
    assert.equal(wireLength, 1000);
  }
});

/** The same frame behind one VLAN tag or several. */
function tagged(frame: Buffer, ...tags: readonly string[]): Buffer {
  return Buffer.concat([
    frame.subarray(0, 12),
    ...tags.map((tag) => Buffer.from(tag, "hex")),
    frame.subarray(12),
  ]);
}

test("VLAN tags that the kernel takes off are put back where they were", LIMIT, async () => {
  const sent = udpFrames(400, 200).map(({ bytes }, n) => {
    const tags = [["8100002a"], ["8100602b"], ["88a80064", "8100002a"], []][n % 4]!;
    return { bytes: tagged(bytes, ...tags) };
  });
  for (const [options, tcpdumpOptions, isWanted] of [
    [{}, [], () => true],
    [{ snapLengthBytes: 64 }, ["-s", "64"], () => true],
    [{ filter: "vlan 43" }, ["vlan 43"], (n: number) => n % 4 === 1],
    [{ filter: "udp and not vlan" }, ["udp and not vlan"], (n: number) => n % 4 === 3],
    [{ immediate: true }, ["--immediate-mode"], () => true],
  ] as const) {
    const wanted = sent.filter((_, n) => isWanted(n));
    const { snapLengthBytes } = { snapLengthBytes: Infinity, ...options };
    const frames = await captureBeside(options, tcpdumpOptions, wanted.length, () =>
      veth.send(buildCapture({ frames: sent }), ["--pps=10000"]),
    );
    for (const [n, { bytes, wireLength }] of frames.entries()) {
      const whole = wanted[n]!.bytes;
      assert.ok(
        bytes.equals(whole.subarray(0, snapLengthBytes)),
        `frame ${n}: ${bytes.toString("hex")}`,
      );
      assert.equal(wireLength, whole.length);
    }
  }
});

test("a filter lets through what it says", LIMIT, async () => {
  const sent = udpFrames(100, 100);
  const filter = "udp src portrange 1024-1033 and ip[8] = 64";
  const frames = await captureBeside({ filter }, [filter], 10, () =>
    veth.send(buildCapture({ frames: sent })),
  );
  assert.deepEqual(
    frames.map(({ bytes }) => bytes),
    sent.slice(0, 10).map(({ bytes }) => bytes),
  );
});

test("frames come one at a time in immediate mode, and are the same", LIMIT, async () => {
  const sent = udpFrames(2000, 100);
  // The ring then has a slot for the longest frame, few of them: at 5,000/s a machine that stood still for 50 ms lost some.
  await captureBeside({ immediate: true }, ["--immediate-mode"], sent.length, () =>
    veth.send(buildCapture({ frames: sent }), ["--pps=1000"]),
  );
});

for (const [linkType, name, headerBytes] of [
  [undefined, "LINUX_SLL", 16],
  [276, "LINUX_SLL2", 20],
] as const) {
  test(
    `any gives cooked frames of type ${name}, and filters them in the kernel`,
    LIMIT,
    async () => {
      const sent = udpFrames(1000, 120).map(toOwnAddress);
      for (const [expression, count] of [
        ["udp dst port 53", 1000],
        ["src host 10.0.0.7", 1],
        // The link-layer header is not there for the kernel's filter.
        ["link[0:2] != 7", 1000],
      ] as const) {
        const filter = `dst host ${OWN_ADDRESS} and ${expression}`;
        const frames = await captureBeside(
          { interfaceName: "any", linkType, filter },
          ["-y", name, filter],
          count,
          () => veth.send(buildCapture({ frames: sent }), ["--pps=10000"]),
        );
        for (const { bytes } of frames) {
          const sequence = bytes.readUInt32BE(headerBytes + 28);
          assert.ok(bytes.subarray(headerBytes).equals(sent[sequence]!.bytes.subarray(14)));
        }
      }
    },
  );
}

test("the loopback interface gives each frame once, 64 KiB ones whole", LIMIT, async () => {
  const receiver = createSocket("udp4");
  receiver.bind(0, "127.0.0.1");
  await once(receiver, "listening");
  const { port } = receiver.address();
  const sender = createSocket("udp4");
  const payloads = [...Array.from({ length: 200 }, (_, n) => 10 + n), 65_507, 65_507];
  try {
    for (const interfaceName of ["lo", "any"]) {
      const filter = `udp dst port ${port}`;
      const tcpdumpOptions = interfaceName === "any" ? ["-y", "LINUX_SLL", filter] : [filter];
      const frames = await captureBeside(
        { interfaceName, filter },
        tcpdumpOptions,
        payloads.length,
        async () => {
          for (const length of payloads) {
            await new Promise((resolve) => {
              sender.send(Buffer.alloc(length, length), port, "127.0.0.1", resolve);
            });
          }
        },
      );
      const header = interfaceName === "any" ? 16 : 14;
      assert.deepEqual(
        frames.map(({ bytes }) => bytes.length - header - 28),
        payloads,
      );
    }
  } finally {
    sender.close();
    receiver.close();
  }
});

/** Packets that a program gives to a tun device arrive there. */
const TUN_SENDER = `
import fcntl, os, signal, struct, subprocess, sys
device = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(device, 0x400454ca, struct.pack("16sH", sys.argv[1].encode(), 0x1001))
subprocess.check_call(["ip", "link", "set", "dev", sys.argv[1], "up"])
print("up", flush=True)
sys.stdin.readline()
for line in sys.stdin:
    os.write(device, bytes.fromhex(line.strip()))
print("sent", flush=True)
signal.pause()
`;

test("a tun device gives raw IP packets", LIMIT, async () => {
  const name = `pt${process.pid}`;
  const tun = spawn("setpriv", [...ENDS_WITH_THIS_PROCESS, "python3", "-c", TUN_SENDER, name], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(tun.stdout, "data");
  const packets = udpFrames(300, 100).map(({ bytes }) => bytes.subarray(14));
  const filter = "src net 10.0.0.0/16";
  const frames = await captureBeside(
    { interfaceName: name, filter, promiscuous: false },
    ["-p", filter],
    packets.length,
    async () => {
      tun.stdin.end(`\n${packets.map((packet) => `${packet.toString("hex")}\n`).join("")}`);
      await once(tun.stdout, "data");
    },
  ).finally(() => tun.kill());
  assert.deepEqual(
    frames.map(({ bytes }) => bytes),
    packets,
  );
});
