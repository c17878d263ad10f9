import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { projectRoot, pythonExecutable } from "../brokers.ts";

type MockProcess = ChildProcessByStdio<Writable, Readable, null>;

/** librdkafka's mock cluster as a process, see mock-cluster.py. */
export class MockCluster {
  readonly ports: readonly number[];
  readonly #child: MockProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: MockProcess, lines: AsyncIterator<string>, ports: readonly number[]) {
    this.#child = child;
    this.#lines = lines;
    this.ports = ports;
  }

  /** Starts a cluster with one topic. */
  static async start(brokers: number, topic: string, partitions: number): Promise<MockCluster> {
    const script = path.join(projectRoot, "test/outages/mock-cluster.py");
    const args = [script, String(brokers), topic, String(partitions)];
    const child = spawn(pythonExecutable, args, { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const { value } = await lines.next();
    if (typeof value !== "string") throw new Error("librdkafka's mock cluster did not start");
    const ports = value.split(",").map((address) => Number(address.split(":")[1]));
    return new MockCluster(child, lines, ports);
  }

  /** Has something go wrong, see mock-cluster.py. */
  async tell(command: string): Promise<void> {
    this.#child.stdin.write(`${command}\n`);
    const { value } = await this.#lines.next();
    if (value !== "ok")
      throw new Error(`The mock cluster does not take ${JSON.stringify(command)}`);
  }

  /** Ends it at once. */
  async remove(): Promise<void> {
    const ended = once(this.#child, "close");
    this.#child.kill("SIGKILL");
    await ended;
  }
}
