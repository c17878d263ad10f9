import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatCaptureDate,
  formatConsumed,
  formatDelivered,
  formatEndOfPartition,
  formatHexDump,
  formatReceived,
  type PlacedFrame,
} from "../../src/pipeline/packet-text.ts";

/** 2026-11-21 09:05:03 in the local zone, whatever that is. */
const SECONDS = new Date(2026, 10, 21, 9, 5, 3).getTime() / 1000;

const placed: PlacedFrame = {
  count: 7,
  seconds: SECONDS,
  microseconds: 42,
  topic: "pcap",
  partition: 3,
  offset: 9_007_199_254_740_993n,
  lengthBytes: 60,
};

const ascending = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i);

test("formatHexDump() leaves a trailing space on every line but the last", () => {
  assert.equal(
    formatHexDump(ascending(18)),
    "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f \n10 11",
  );
});

test("formatHexDump() ends a dump of whole lines without a space", () => {
  assert.equal(
    formatHexDump(ascending(32)),
    "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f \n" +
      "10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f",
  );
});

test("formatHexDump() writes two lower-case digits for each byte and nothing for no byte", () => {
  assert.equal(formatHexDump(Uint8Array.of(0, 0xab, 0xff)), "00 ab ff");
  assert.equal(formatHexDump(new Uint8Array(0)), "");
});

test("formatHexDump() cuts the dump into pieces of 48 characters at every length", () => {
  for (let length = 0; length < 70; length++) {
    const all = [...ascending(length)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    assert.equal(formatHexDump(ascending(length)), (all.match(/.{1,48}/g) ?? []).join("\n"));
  }
});

test("formatCaptureDate() pads every part and keeps six digits of the fraction", () => {
  assert.equal(formatCaptureDate(SECONDS, 42), "2026-11-21 09:05:03.000042");
  assert.equal(formatCaptureDate(SECONDS, 999_999), "2026-11-21 09:05:03.999999");
});

test("formatReceived() heads a hex dump as in 2017, or is one line as in 2020", () => {
  assert.equal(formatReceived("hex", 10, Uint8Array.of(1, 2)), "10 packet(s) received\n01 02\n");
  assert.equal(formatReceived("line", 10, Uint8Array.of(1, 2)), "Packet received[10]\n");
});

test("formatDelivered() names time, place and length as in 2020 and is silent as in 2017", () => {
  assert.equal(
    formatDelivered("line", placed),
    "Packet delivered[7]: date=2026-11-21 09:05:03.000042 topic=pcap partition=3 offset=9007199254740993 len=60\n",
  );
  assert.equal(formatDelivered("hex", placed), "");
});

test("formatConsumed() heads a hex dump as in 2017, or is one line as in 2020", () => {
  assert.equal(
    formatConsumed("hex", placed, Uint8Array.of(0xca, 0xfe)),
    "Packet: count=7 date=2026-11-21 09:05:03.000042 topic=pcap\nca fe\n",
  );
  assert.equal(
    formatConsumed("line", { ...placed, offset: 12 }, Uint8Array.of(0xca, 0xfe)),
    "Packet[7]: date=2026-11-21 09:05:03.000042 topic=pcap partition=3 offset=12 len=60\n",
  );
});

test("formatEndOfPartition() names the partition as in 2020 and is silent as in 2017", () => {
  assert.equal(
    formatEndOfPartition("line", "pcap", 2, 40n),
    "Reached end of topar: topic=pcap, partition=2, offset=40\n",
  );
  assert.equal(formatEndOfPartition("hex", "pcap", 2, 40n), "");
});
