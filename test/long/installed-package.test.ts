import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import {
  createTopic,
  newestNodeExecutable,
  projectRoot,
  randomTopicName,
  sharedBroker,
} from "../brokers.ts";
import { readCapture } from "../capture-frames.ts";
import { buildCapture, buildUdpFrame } from "../fixtures/generate.ts";
import { eventually, runPcapts, startPcapts } from "../integration/pcapts-process.ts";
import { createVethPair, type VethPair } from "../system/veth-pair.ts";

/* The package installed globally, by the versions of npm that people have: it lists and captures. */

const run = promisify(execFile);

let scratch: string;
let veth: VethPair;
before(async () => {
  scratch = mkdtempSync(path.join(tmpdir(), "pcapts-npm-"));
  veth = await createVethPair();
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", scratch], {
    cwd: projectRoot,
    env: ownEnvironment(),
  });
});
after(async () => {
  await veth.remove();
  rmSync(scratch, { recursive: true, force: true });
});

/** Without what an npm that runs this tells its scripts about itself. */
function ownEnvironment(node = process.execPath): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  return { ...Object.fromEntries(own), PATH: `${path.dirname(node)}:${process.env["PATH"]}` };
}

for (const [npmVersion, node] of [
  ["10", process.execPath],
  ["11", process.execPath],
  // It does not run on older versions of Node.
  ["12", newestNodeExecutable],
] as const) {
  test(`installed globally by npm ${npmVersion}, -D lists and -i captures`, async () => {
    const npm = path.join(scratch, `npm-${npmVersion}`);
    const prefix = path.join(scratch, `prefix-${npmVersion}`);
    mkdirSync(npm);
    mkdirSync(prefix);
    const env = ownEnvironment(node);
    await run("npm", ["install", "--prefix", npm, "--no-save", `npm@${npmVersion}`], {
      cwd: npm,
      env: ownEnvironment(),
    });
    const tarball = readdirSync(scratch).find((name) => name.endsWith(".tgz"))!;
    const cli = path.join(npm, "node_modules/npm/bin/npm-cli.js");
    const install = ["install", "--global", "--prefix", prefix, path.join(scratch, tarball)];
    await run(node, [cli, ...install], { cwd: scratch, env });
    const command: [string, string] = [node, path.join(prefix, "bin/pcapts")];
    assert.ok(existsSync(command[1]));

    const listed = await runPcapts(["-D"], { command, env });
    assert.equal(listed.status, 0, listed.stderr);
    assert.match(listed.stdout.toString(), new RegExp(`\\.${veth.name} \\[Up, Running`));

    const { bootstrap } = await sharedBroker();
    const topic = randomTopicName();
    await createTopic(bootstrap, topic);
    const line = ["-k", bootstrap, "-t", topic];
    const producer = startPcapts(["-p", "-i", veth.name, "-m", "200", ...line], { command, env });
    await producer.says(/Starting packet capture/);
    const frames = Array.from({ length: 200 }, (_, n) => ({ bytes: buildUdpFrame(n, 100) }));
    await eventually("the end of the capture", async () => {
      await veth.send(buildCapture({ frames }), ["--pps=5000"]);
      return producer.child.exitCode !== null;
    });
    const { status, stderr } = await producer.ended;
    assert.equal(status, 0, stderr);
    assert.match(stderr, /with libpcap /);
    const consumed = await runPcapts(["-c", "-o", "begin", "-e", ...line], { command, env });
    assert.equal(readCapture(consumed.stdout).frames.length, 200);
  });
}
