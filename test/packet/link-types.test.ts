import assert from "node:assert/strict";
import { test } from "node:test";
import { formatLinkType, linkTypeOfDlt, parseLinkType } from "../../src/packet/link-types.ts";

test("formatLinkType() gives libpcap's names, and digits for what has none", () => {
  assert.equal(formatLinkType(1), "EN10MB");
  assert.equal(formatLinkType(101), "RAW");
  assert.equal(formatLinkType(276), "LINUX_SLL2");
  assert.equal(formatLinkType(60_000), "60000");
});

test("parseLinkType() takes numbers, names in any case, prefixes and Wireshark's names", () => {
  for (const [text, linkType] of [
    ["1", 1],
    ["65535", 65535],
    ["en10mb", 1],
    ["Ethernet", 1],
    ["LINKTYPE_LINUX_SLL", 113],
    ["DLT_RAW", 101],
    ["rawip", 101],
    ["ieee802-11-radio", 127],
  ] as const) {
    assert.equal(parseLinkType(text), linkType, text);
  }
});

test("parseLinkType() knows nothing of other words and numbers above 16 bits", () => {
  for (const text of ["", "65536", "-1", "1.5", "0x1", "no such type", "123456789"]) {
    assert.equal(parseLinkType(text), undefined, text);
  }
});

test("every name is read back as its number", () => {
  let named = 0;
  for (let linkType = 0; linkType < 400; linkType++) {
    const name = formatLinkType(linkType);
    if (name === String(linkType)) continue;
    assert.equal(parseLinkType(name), linkType, name);
    named++;
  }
  assert.ok(named > 150, `${named} names`);
});

test("linkTypeOfDlt() maps libpcap's raw IP to that of files and leaves Ethernet alone", () => {
  assert.equal(linkTypeOfDlt(12), 101);
  assert.equal(linkTypeOfDlt(14), 101);
  assert.equal(linkTypeOfDlt(1), 1);
  assert.equal(linkTypeOfDlt(276), 276);
});
