import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { cacheDirectory, projectRoot, pythonExecutable } from "../test/brokers.ts";

/** How pcapts is started. */
export const ownProgram: readonly string[] = [
  process.execPath,
  path.join(projectRoot, "bin/pcapts.js"),
];

/** A program of bench/peers that is run as it is written. */
export function peerFile(name: string): string {
  return path.join(projectRoot, "bench/peers", name);
}

/** A program of bench/peers that the build compiled. */
export function compiledPeer(name: string): string {
  return path.join(projectRoot, "dist/bench/peers", name);
}

/** Where the benchmark keeps its compiled programs. */
const compiledFolder = path.join(cacheDirectory, "bench");

/** A program of bench/peers that {@link compilePeers} compiled into a folder. */
export function cPeer(name: string, folder = compiledFolder): string {
  return path.join(folder, name);
}

/** Compiles C programs against the system's librdkafka and libpcap, into the cache or another folder. */
export function compilePeers(names: readonly string[], folder = compiledFolder): void {
  mkdirSync(folder, { recursive: true });
  for (const name of names) {
    const flags = ["-O2", "-Wall", "-Wextra", "-o", cPeer(name, folder), peerFile(`${name}.c`)];
    execFileSync("cc", [...flags, "-lrdkafka", "-lpcap"], { stdio: "inherit" });
  }
}

/** Libraries that a C program runs on. */
export function versionOfCPeer(name: string): string {
  return firstLine(cPeer(name), ["--version"]);
}

/** Python, and what the programs in it run on. */
export function versionOfPython(): string {
  const python =
    "import platform, confluent_kafka as c; print(f'Python {platform.python_version()}, " +
    "confluent-kafka {c.version()} (librdkafka {c.libversion()[0]})')";
  return firstLine(pythonExecutable, ["-c", python]);
}

/** The C compiler. */
export function versionOfCompiler(): string {
  return firstLine("cc", ["--version"]);
}

function firstLine(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { encoding: "utf8" }).split("\n")[0] ?? "";
}
