import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { formatBrokerAddress, parseBrokerAddresses } from "../../src/config/broker-address.ts";
import { PcaptsError } from "../../src/errors.ts";

const parse = (text: string): string[] => parseBrokerAddresses(text, "-k").map(formatBrokerAddress);

test("parseBrokerAddresses() reads hosts with and without a port", () => {
  assert.deepEqual(parseBrokerAddresses("kafka1:9093,kafka_2", "-k"), [
    { host: "kafka1", port: 9093 },
    { host: "kafka_2", port: 9092 },
  ]);
});

test("parseBrokerAddresses() reads IPv6 addresses in brackets and bare", () => {
  assert.deepEqual(parseBrokerAddresses("[::1]:9093 ::1 [fe80::1%eth0] 2001:db8::9092", "-k"), [
    { host: "::1", port: 9093 },
    { host: "::1", port: 9092 },
    { host: "fe80::1%eth0", port: 9092 },
    { host: "2001:db8::9092", port: 9092 },
  ]);
});

test("parseBrokerAddresses() takes commas, blanks and both between brokers", () => {
  assert.deepEqual(parse(" a:1, b:2 c:3,,d "), ["a:1", "b:2", "c:3", "d:9092"]);
});

test("parseBrokerAddresses() takes PLAINTEXT:// as librdkafka does", () => {
  assert.deepEqual(parse("PLAINTEXT://a:1,plaintext://[::1]:2"), ["a:1", "[::1]:2"]);
});

// SASL_SSL://broker1:9093 was refused as not there yet when the protocol was.
test("parseBrokerAddresses() takes the protocol of the run before an address, and no other", () => {
  for (const protocol of ["ssl", "sasl_plaintext", "sasl_ssl"]) {
    const text = `${protocol.toUpperCase()}://a:1,b:2`;
    assert.deepEqual(parseBrokerAddresses(text, "-k", protocol).map(formatBrokerAddress), [
      "a:1",
      "b:2",
    ]);
  }
  assert.throws(
    () => parseBrokerAddresses("PLAINTEXT://a:1", "-k", "sasl_ssl"),
    /PLAINTEXT is not the protocol of this run: security\.protocol is sasl_ssl/,
  );
});

test("parseBrokerAddresses() names the part that is wrong and why", () => {
  const cases: Record<string, RegExp> = {
    "": /-k expects HOST:PORT.*, not ""/,
    ",": /-k expects HOST:PORT/,
    "good:1,:9092": /in ":9092" the host is missing/,
    "a:0": /in "a:0" "0" is no port \(1 to 65535\)/,
    "a:65536": /"65536" is no port/,
    "a:": /"" is no port/,
    "a:9o92": /"9o92" is no port/,
    "a:1:2": /"1:2" is no port/,
    "[::1": /in "\[::1" the brackets do not match/,
    "[kafka]:1": /the brackets hold no IPv6 address/,
    "[::1]x": /the brackets do not match/,
    "a/b:1": /"a\/b" is no host name/,
    "-a:1": /"-a" is no host name/,
    "SSL://a:1":
      /in "SSL:\/\/a:1" SSL is not the protocol of this run: security.protocol is plaintext/,
  };
  for (const [text, message] of Object.entries(cases)) {
    assert.throws(
      () => parseBrokerAddresses(text, "-k"),
      (error) => {
        assert.ok(error instanceof PcaptsError && error.code === "USAGE");
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

test("parseBrokerAddresses() reads back what formatBrokerAddress() writes", () => {
  const address = fc.record(
    {
      host: fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()),
      port: fc.integer({ min: 1, max: 65_535 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(address, { minLength: 1, maxLength: 4 }), (addresses) => {
      const text = addresses.map(formatBrokerAddress).join(",");
      assert.deepEqual(parseBrokerAddresses(text, "-k"), addresses);
    }),
  );
});
