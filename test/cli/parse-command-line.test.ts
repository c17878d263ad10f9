import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import { filterOf } from "../../src/config/option-rules.ts";
import { PcaptsError } from "../../src/errors.ts";

const words = (line: string): string[] => line.split(" ").filter((word) => word !== "");

/** Command lines that are refused, and the message. */
const REFUSED: readonly (readonly [string, RegExp])[] = [
  ["-t pcap", /One of -p, --producer and -c, --consumer is needed/],
  ["-p -i eth0 -s 262145", /-s, --snaplen expects .*, not "262145"/],
  ["-c -pp x", /-pp, --pretty-print expects a whole number/],
  ["-p -r x --partitions 0", /--partitions expects a whole number from 1 to 100000/],
  ["-c --connect-timeout never", /--connect-timeout expects a number of seconds/],
  ["-c -ll loud", /-ll, --log-level expects DEBUG, INFO, WARN or ERROR, not "loud"/],
  ["-c --log-format xml", /--log-format expects text, json or journal/],
  ["-c -t a/b", /-t, --kafka-topic expects a topic name/],
  ["-c --kafka x", /Flag "--kafka" is ambiguous: it could be --kafka-broker, --kafka-topic/],
  ["-pi eth0", /short flags are not grouped/],
  ["-c -t", /-t, --kafka-topic expects NAME, but nothing follows it/],
  ["-p -i eth0 --topspeed", /--topspeed, .* go with -r, --read FILE/],
  ["-p -i eth0 --pps 5", /--pps, .* go with -r, --read FILE/],
  ["-p -i eth0 --loop 0", /--loop go with -r, --read FILE/],
  ["-p -i eth0 -a files:3", /-a, --autostop expects .* not "files:3"; a producer writes no files/],
  ["-p -i eth0 -a 5", /-a, --autostop expects duration:SECONDS, filesize:KB .*, not "5"/],
  ["-p -i eth0 -a duration:0", /-a, --autostop expects .* a number above 0, not "duration:0"/],
  ["-p -i eth0 -a packets:1.5", /-a, --autostop expects .*, not "packets:1.5"/],
  ["-p -i eth0 --stats-interval often", /--stats-interval expects a number of seconds/],
  ["-c -y ETHERNET2", /-y, --linktype expects a link type as -L lists it, .*, not "ETHERNET2"/],
  ["-p -i eth0 -f tcp port 80", /The filter is given twice,.* quote the whole expression/],
  ["-L", /-L, --list-data-link-types .* name it with -i, --interface X/],
  ["-J -r x", /-J, --list-time-stamp-types are of an interface/],
  ["-p -r x -y EN10MB", /-y, --linktype goes with -i/],
  ["-p -r x -j host", /-j, --time-stamp-type goes with -i/],
  ["-p -r x --time-stamp-precision nano", /--time-stamp-precision goes with -i/],
  ["-p -i eth0 --engine cap -y EN10MB", /-y, --linktype needs --engine libpcap/],
  ["-p -i eth0 --engine cap -j host", /-j, --time-stamp-type needs --engine libpcap/],
  ["-p -i eth0 --engine cap --time-stamp-precision nano", /precision nano needs --engine libpcap/],
  [
    "-p -i eth0 --embedded -Z nobody",
    /--embedded and -Z, --relinquish-privileges exclude each other/,
  ],
  ["-p -i eth0 --engine dumpcap", /--engine expects libpcap or cap, not "dumpcap"/],
  ["-p -r x --multiplier 0", /--multiplier expects a number from 0\.000001 to 1000000, not "0"/],
  ["-p -r x --pps 0", /--pps expects a number from 0\.000001 to 1000000000, not "0"/],
  ["-p -r x --mbps -1", /--mbps expects a number from 0\.000001 to 1000000, not "-1"/],
  ["-p -r x --loop 1.5", /--loop expects a whole number, 0 or more, not "1\.5"/],
  ["-p -r x --pps 5 --mbps 5", /--topspeed, --multiplier, --pps and --mbps exclude each other/],
  ["-p -r x --topspeed --multiplier 1", /--topspeed, .* exclude each other: a replay has one/],
  ["-p -r - --loop 2", /--loop needs files, which can be read again: .* is standard input/],
  ["-c --from yesterday", /--from expects a time such as .*, not "yesterday"/],
  ["-c --to 2026-02-30", /--to expects a time such as .*, not "2026-02-30"/],
  ["-c --ordered --unordered", /--ordered and --unordered exclude each other/],
  ["-c --ordered=soon", /--ordered expects a number of ms from 0 to 60000, not "soon"/],
  ["-c -b files:3", /-b, -C, -G and -W make several files: name them with -w/],
  ["-c -pp 1 --compress-output gzip", /-pp, --pretty-print prints text .* leave --compress-output/],
  ["-p -r - -r -", /-r, --read - is given twice/],
  ["-c -F snoop", /-F, --file-type expects pcap, nsecpcap or pcapng, not "snoop"/],
  ["-c -pp 1 --pretty-print-format long", /--pretty-print-format expects hex, line or summary/],
  ["-c -pp 1 -w out.pcap", /-pp, --pretty-print prints text instead of pcap/],
  ["-p -i eth0 --read-listen 9", /-i, --interface, -r, --read and --read-listen exclude each oth/],
  ["-p --read-listen 0 --listen-tls-key x", /TLS needs both --listen-tls-cert FILE and/],
  ["-p --read-listen 0 -y EN10MB", /-y, -j and --time-stamp-precision go with an interface/],
  ["-p -i eth0 --max-senders 3", /--max-senders goes with --read-listen PORT/],
  ["-p -i eth0 --insecure-listen", /--insecure-listen, .* go with --listen HOST:PORT or --read/],
  ["-p -i TCP@a -y EN10MB", /-y, -j and --time-stamp-precision go with an interface of this mach/],
  ["-L -i TCP@a", /-L, .* and -J, .* are of an interface of this machine/],
  ["-p -i lo --monitor", /--monitor follows one folder: name it with -r, --read DIR/],
  ["-p -r a -r b --monitor", /--monitor follows one folder/],
  ["-p -r a --monitor --pps 5", /--monitor takes frames as they come: leave .*--pps.* out/],
  ["-c --listen", /--listen expects .*, but nothing follows it/],
  ["-c --listen 127.0.0.1:0 -w x.pcap", /--listen serves what -w, --write would write: leave -w/],
  ["-c --listen 127.0.0.1:0 -pp 1", /--listen serves what -w, --write would write/],
  ["-c --listen 127.0.0.1:0 -b filesize:5", /--listen serves what -w, --write would write/],
  ["-c --listen 127.0.0.1:0 --max-readers 0", /--max-readers expects a whole number/],
  ["-c --listen 127.0.0.1:0 --listen-tls-cert x", /TLS needs both --listen-tls-cert FILE and/],
  ["-c --listen 127.0.0.1:0 --listen-tls-ca x", /TLS needs both --listen-tls-cert FILE and/],
  ["-c --max-readers 3", /--max-readers goes with --listen HOST:PORT/],
  ["-p -r x --json", /--json goes with -D, --list-interfaces/],
];

test("parseCommandLine() refuses wrong use with a usage error that names the flag", () => {
  for (const [line, message] of REFUSED) {
    assert.throws(
      () => parseCommandLine(words(line)),
      (error) => {
        assert.ok(error instanceof PcaptsError && error.code === "USAGE", line);
        assert.match(error.message, message);
        return true;
      },
      line,
    );
  }
});

test("parseCommandLine() gives every flag its default", () => {
  const { values, given } = parseCommandLine(words("-c"));
  assert.deepEqual([...given], ["consumer"]);
  assert.equal(values["kafka-broker"], "localhost:9092");
  assert.equal(values["kafka-topic"], "pcap");
  assert.equal(values["kafka-offset"], "end");
  assert.equal(values["max-packets"], 0);
  assert.equal(values["log-level"], "INFO");
  assert.equal(values["snaplen"], 262_144);
  assert.equal(values["write"], "-");
  assert.equal(values["file-type"], "pcap");
  assert.deepEqual(values["interface"], []);
  assert.equal(values["stats-interval"], 0);
  assert.equal(values["listen"], undefined);
  assert.equal(values["max-readers"], 32);
  assert.equal(values["insecure-listen"], false);
  assert.deepEqual(values["kafka-property"], []);
});

test("parseCommandLine() hands values on as they were written, whatever they look like", () => {
  const { values } = parseCommandLine([
    "-p",
    "-i",
    "007",
    "--sensor='a.b'",
    '-Xclient.id="x=y"',
    "-X",
    "linger.ms=1e3",
    "-t",
    "1.50",
  ]);
  assert.deepEqual(values["interface"], ["007"]);
  assert.equal(values["sensor"], "'a.b'");
  assert.deepEqual(values["kafka-property"], ['client.id="x=y"', "linger.ms=1e3"]);
  assert.equal(values["kafka-topic"], "1.50");
});

test("parseCommandLine() keeps every value of a text flag", () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1 }),
      fc.array(fc.string({ minLength: 1 })),
      (text, many) => {
        const { values } = parseCommandLine([
          "-c",
          `--sensor=${text}`,
          ...many.map((each) => `--kafka-property=${each}`),
        ]);
        assert.equal(values["sensor"], text);
        assert.deepEqual(values["kafka-property"], many);
      },
    ),
  );
});

test("parseCommandLine() takes the names of levels in any case, and Python's too", () => {
  for (const [text, level] of [
    ["debug", "DEBUG"],
    ["Info", "INFO"],
    ["WARNING", "WARN"],
    ["critical", "ERROR"],
  ]) {
    assert.equal(parseCommandLine(["-c", "-ll", text ?? ""]).values["log-level"], level);
  }
});

test("parseCommandLine() takes words for a filter, which win over one in the environment", () => {
  const line = parseCommandLine(words("-p tcp -r x port 80"), { PCAPTS_FILTER: "udp" });
  assert.equal(filterOf(line), "tcp port 80");
  assert.equal(filterOf(parseCommandLine(words("-p -r x -f udp"))), "udp");
  assert.equal(filterOf(parseCommandLine(words("-p -r x"), { PCAPTS_FILTER: "udp" })), "udp");
  assert.equal(filterOf(parseCommandLine(words("-p -r x"))), undefined);
});

test("parseCommandLine() lists types of an interface without a mode", () => {
  const { values } = parseCommandLine(words("-L -J -i eth0"));
  assert.ok(values["list-data-link-types"] && values["list-time-stamp-types"]);
});

test("parseCommandLine() takes link types by name and by number", () => {
  for (const [text, linkType] of [
    ["EN10MB", 1],
    ["dlt_linux_sll2", 276],
    ["101", 101],
  ] as const) {
    assert.equal(parseCommandLine(["-c", "-y", text]).values.linktype, linkType);
  }
});

test("parseCommandLine() takes several values of a flag from one variable, where it may be repeated", () => {
  const { values } = parseCommandLine(words("-c"), {
    PCAPTS_INTERFACE: " eth0  eth1 ",
    PCAPTS_AUTOSTOP: "duration:5 packets:3",
  });
  assert.deepEqual(values.autostop, ["duration:5", "packets:3"]);
  assert.deepEqual(values.interface, ["eth0", "eth1"]);
});

test("parseCommandLine() accepts the flags of the other mode", () => {
  const { given } = parseCommandLine(words("-p -r x -o begin -e -w out.pcap"));
  assert.ok(given.has("kafka-offset") && given.has("exit-at-end") && given.has("write"));
  assert.ok(parseCommandLine(words("-c -i eth0 -s 65535")).given.has("snaplen"));
});

test("parseCommandLine() takes the command lines of Pycapa's README", () => {
  const producer = parseCommandLine(
    words("--producer --interface eth0 --kafka-broker localhost:9092 --kafka-topic pcap -pp 5"),
  );
  assert.equal(producer.values["pretty-print"], 5);
  const consumer = parseCommandLine(
    words("--consumer -k localhost:9092 -t pcap --kafka-offset begin --max-packets 10 -ll DEBUG"),
  );
  assert.equal(consumer.values["max-packets"], 10);
});
