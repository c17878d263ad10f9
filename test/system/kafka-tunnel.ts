import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VethPair } from "./veth-pair.ts";

/** Runs in the namespace: node -e SCRIPT PORT PATH */
const INNER_END = `
  const { connect, createServer } = require("node:net");
  const [port, path] = process.argv.slice(1);
  createServer((outer) => {
    const inner = connect(path);
    outer.on("error", () => inner.destroy());
    inner.on("error", () => outer.destroy());
    outer.pipe(inner).pipe(outer);
  }).listen(port, "127.0.0.1", () => console.log("listening"));`;

/**
 * Makes a broker of this machine's loopback reachable at the same address in a namespace, whose
 * loopback then carries that and nothing else. Between the two is a UNIX socket.
 *
 * @returns what takes it away again
 */
export async function tunnelKafka(veth: VethPair, bootstrap: string): Promise<() => Promise<void>> {
  const port = Number(bootstrap.split(":")[1]);
  const directory = await mkdtemp(join(tmpdir(), "kafka-tunnel-"));
  const path = join(directory, "socket");
  const sockets = new Set<Socket>();
  const outerEnd = createServer((inner) => {
    const outer = connect(port, "127.0.0.1");
    for (const [socket, other] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
    inner.pipe(outer).pipe(inner);
  }).listen(path);
  await once(outerEnd, "listening");
  await veth.exec(["ip", "link", "set", "dev", "lo", "up"]);
  const [program, ...args] = veth.inside([process.execPath, "-e", INNER_END, String(port), path]);
  const innerEnd = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(innerEnd.stdout, "data");
  return async () => {
    const ended = once(innerEnd, "exit");
    innerEnd.kill("SIGKILL");
    for (const socket of sockets) socket.destroy();
    outerEnd.close();
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
}
