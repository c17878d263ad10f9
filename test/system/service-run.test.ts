import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { BrokerProcess } from "../embedded-broker.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { countWithTshark } from "../integration/other-programs.ts";
import { eventually, PCAPTS, readLedger, RunningProcess } from "../integration/pcapts-process.ts";
import { NotifySocket } from "../service/notify-socket.ts";
import { StatusPages } from "../service/status-pages.ts";
import { listExecStart, readUnit, readVariables } from "../service/unit-files.ts";
import { createVethPair, type VethPair } from "./veth-pair.ts";

/*
 * What the units of examples/systemd start, as they start it: as a user who is not root, with the
 * capabilities of the unit and no way to others, and with a socket to tell how it goes.
 */

const LIMIT = { timeout: 120_000 };
const FRAMES = 300;
const USER = "nobody";

let broker: BrokerProcess;
let veth: VethPair;
let directory: string;
before(async () => {
  broker = await BrokerProcess.start();
  veth = await createVethPair();
  directory = mkdtempSync(path.join(tmpdir(), "pcapts-service-"));
  execFileSync("chown", [USER, directory]);
});
after(async () => {
  await veth.remove();
  await broker.remove();
  rmSync(directory, { recursive: true });
});

/** Starts what a unit starts. */
function startUnit(
  unit: string,
  variables: string,
  manager: NotifySocket,
  changed: Record<string, string>,
): RunningProcess {
  const [, bounding = ""] = /^CapabilityBoundingSet=(.*)$/m.exec(readUnit(unit)) ?? [];
  const set = [
    "-all",
    ...(bounding === "" ? [] : [bounding.toLowerCase().replace("cap_", "+")]),
  ].join();
  const capabilities = ["bounding-set", "inh-caps", "ambient-caps"].map(
    (name) => `--${name}=${set}`,
  );
  const env = {
    ...readVariables(variables),
    PCAPTS_CONFIG: "",
    PCAPTS_KAFKA_BROKER: broker.bootstrap,
    PCAPTS_METRICS: "127.0.0.1:0",
    NOTIFY_SOCKET: manager.address,
    WATCHDOG_USEC: "1000000",
    HOME: "/nonexistent",
    ...changed,
  };
  const identity = [`--reuid=${USER}`, "--regid=nogroup"];
  return new RunningProcess(
    ["setpriv", ...identity, "--clear-groups", ...capabilities, "--no-new-privs"].concat(
      [process.execPath, PCAPTS],
      listExecStart(unit, veth.name),
    ),
    { env },
  );
}

test(
  "the units' command lines run as a user without root's rights, and tell how they go",
  LIMIT,
  async () => {
    const managers = [await NotifySocket.open(), await NotifySocket.open()] as const;
    execFileSync("chmod", ["755", ...managers.map(({ address }) => path.dirname(address))]);
    try {
      const producer = startUnit("pcapts-producer@.service", "producer.env", managers[0], {});
      await eventually("the producer is ready", () => managers[0].count("READY=1") === 1, 30_000);
      const consumer = startUnit("pcapts-consumer.service", "consumer.env", managers[1], {
        PCAPTS_WRITE: path.join(directory, "frames.pcapng"),
      });
      await eventually("the consumer is ready", () => managers[1].count("READY=1") === 1, 30_000);

      const frames = Array.from({ length: FRAMES }, (_, n) => ({ bytes: buildUdpFrame(n, 200) }));
      await veth.send(buildCapture({ frames }), ["--pps=5000"]);
      const pages = await StatusPages.of(consumer);
      await eventually(
        "every frame is in the consumer's file",
        async () => (await pages.metrics()).get("pcapts_written_frames_total") === FRAMES,
        30_000,
      );
      for (const manager of managers) {
        await eventually("beats", () => manager.count("WATCHDOG=1") >= 3, 30_000);
      }
      assert.match(
        managers[0].messages.join("\n"),
        /^STATUS=received \d+ = dropped by the kernel/m,
      );

      for (const service of [producer, consumer]) {
        service.child.kill("SIGTERM");
        const { status, stderr } = await service.ended;
        assert.equal(status, 0, stderr);
        // The journal takes the level from each line's begin.
        assert.deepEqual(
          stderr.split("\n").filter((line) => line !== "" && !/^<[3-7]>\S/.test(line)),
          [],
        );
      }
      assert.equal(readLedger(producer.stderr).acknowledged, FRAMES);
      assert.match(
        producer.stderr,
        /^<6>What \w+ receives from now until the next start is not captured$/m,
      );
      for (const manager of managers) {
        await eventually("the farewell", () => manager.count("STOPPING=1") === 1);
      }
      // Beside it stands what of it is committed.
      const files = readdirSync(directory).filter((name) => !name.endsWith(".offsets"));
      assert.equal(files.length, 1);
      assert.equal(await countWithTshark(path.join(directory, files[0]!)), FRAMES);
    } finally {
      for (const manager of managers) manager.close();
    }
  },
);
