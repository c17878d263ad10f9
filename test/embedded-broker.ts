/**
 * Embedded brokers for tests: within the test's process, where a test asks for
 * faults, and as a process of its own, where it is to be killed.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Broker, type BrokerOptions } from "../src/broker/broker.ts";
import { silentLogger } from "../src/logger.ts";
import { freePort, projectRoot } from "./brokers.ts";

/** A broker within this process. */
export interface EmbeddedBroker {
  readonly broker: Broker;
  /** `127.0.0.1:PORT` */
  readonly bootstrap: string;
  readonly directory: string;
  /** Closes it and deletes its directory. */
  remove(): Promise<void>;
}

/** A directory for one broker's data. */
export function newDataDirectory(): string {
  return mkdtempSync(path.join(tmpdir(), `pcapts-embedded-${process.pid}-`));
}

/** Starts a broker on a free port; what `options` leaves out is as the tests like it. */
export async function startEmbeddedBroker(
  options: Partial<BrokerOptions> = {},
): Promise<EmbeddedBroker> {
  const directory = options.dataDirectory ?? newDataDirectory();
  const broker = await Broker.open({
    host: "127.0.0.1",
    port: 0,
    dataDirectory: directory,
    insecureListen: false,
    partitions: 1,
    topicDefaults: {},
    fsync: "never",
    logger: silentLogger,
    ...options,
  });
  return {
    broker,
    bootstrap: `127.0.0.1:${broker.port}`,
    directory,
    remove: async () => {
      await broker.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** `pcapts broker` as a process, which may be killed and started again on the same data. */
export class BrokerProcess {
  readonly port: number;
  readonly directory: string;
  readonly #args: readonly string[];
  #child: ChildProcessWithoutNullStreams | undefined;
  #closed: Promise<unknown> = Promise.resolve();
  #log = "";

  private constructor(port: number, directory: string, args: readonly string[]) {
    this.port = port;
    this.directory = directory;
    this.#args = args;
  }

  /** Starts one on a free port, with more flags of `pcapts broker`. */
  static async start(
    args: readonly string[] = [],
    directory = newDataDirectory(),
  ): Promise<BrokerProcess> {
    const broker = new BrokerProcess(await freePort(), directory, args);
    await broker.start();
    return broker;
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** All it said, all starts. */
  get log(): string {
    return this.#log;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it without waiting for anything. */
  launch(): void {
    const child = spawn(process.execPath, [
      path.join(projectRoot, "bin/pcapts.js"),
      "broker",
      "--listen",
      this.bootstrap,
      "--data-dir",
      this.directory,
      ...this.#args,
    ]);
    child.stderr.on("data", (bytes: Buffer) => {
      this.#log += bytes.toString();
    });
    this.#closed = once(child, "close");
    this.#child = child;
  }

  /** Starts it; resolves when it listens. */
  async start(): Promise<void> {
    const before = this.#log.length;
    this.launch();
    const child = this.#child!;
    while (!this.#log.slice(before).includes("Broker listens")) {
      if (child.exitCode !== null) throw new Error(`pcapts broker ended:\n${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Sends a signal and waits for the end. @returns exit status */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<number | null> {
    this.#child?.kill(signal);
    await this.#closed;
    return this.#child?.exitCode ?? null;
  }

  /** Ends it at once and deletes its directory. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
