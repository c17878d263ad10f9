/**
 * Real Kafka brokers for tests and benchmarks; the one place they come from.
 *
 * `sharedBroker()` is the broker that `scripts/test` started for the whole
 * suite: most tests want a topic of their own on it. A test that kills or
 * configures a broker starts one with `startBroker()`.
 *
 * A broker is a single node in KRaft mode (2.7.2: with its ZooKeeper beside
 * it), started from the jars that `scripts/setup --test` copied. Measured on
 * two cores: ready in 1.8 s with the compiler held at C1 and the serial
 * collector (2.7 s without), and 0.8 s more for `StorageTool format`, saved by
 * formatting once and copying the directory.
 */
import { type ChildProcess, spawnSync } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { type Admin, Kafka, logLevel } from "kafkajs";
import {
  endProcess,
  makeServerDirectory,
  spawnWithParent,
  waitUntilListening,
} from "./server-process.ts";

/** Kafka versions that `scripts/setup` can fetch: the first with `--test`, the others with `--long`. */
export type KafkaVersion = "4.3.0" | "3.9.1" | "2.7.2";

/** How a listener of a broker is spoken to, by Kafka's names. */
export type SecurityProtocol = "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL";

/** Where a broker of its own lives, for properties that have to name it. */
export interface BrokerPlace {
  /** Port of the listener PLAINTEXT. */
  readonly port: number;
  /** Ports of the further listeners, by their names. */
  readonly listenerPorts: Readonly<Record<string, number>>;
  /** The controller's port, or ZooKeeper's before KRaft. */
  readonly controllerPort: number;
  /** Holds server.properties, kafka.log and data/. */
  readonly directory: string;
}

/** How a broker differs from the plain one. */
export interface BrokerOptions {
  /** Default 4.3.0. */
  readonly version?: KafkaVersion;
  /** Listeners beside PLAINTEXT, advertised as localhost; their properties go into `properties`. */
  readonly listeners?: Readonly<Record<string, SecurityProtocol>>;
  /** Lines of server.properties, over the defaults. */
  readonly properties?:
    | Readonly<Record<string, string | number | boolean>>
    | ((place: BrokerPlace) => Readonly<Record<string, string | number | boolean>>);
  /** "quick" (default) starts fast, "server" runs as Kafka's own scripts would, for benchmarks. */
  readonly jvm?: "quick" | "server";
  /** Java heap; default 512. */
  readonly heapMegabytes?: number;
  /** Default 1; only a cluster has others. */
  readonly nodeId?: number;
  /** More arguments for java, e.g. `-Djava.security.auth.login.config=…`. */
  readonly jvmArguments?: readonly string[];
}

/** A broker that belongs to one test. */
export interface TestBroker extends BrokerPlace {
  /** `127.0.0.1:PORT`; the same after `start()`. */
  readonly bootstrap: string;
  /** Process id of Kafka; undefined while it is down. */
  readonly pid: number | undefined;
  /** What Kafka logged so far, all starts. */
  log(): string;
  /** Sends a signal (default SIGKILL) and waits for the death it causes; SIGSTOP and SIGCONT return at once. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same data and port; resolves when it is ready. */
  start(): Promise<void>;
  /** Orderly shutdown; the data stays. */
  stop(): Promise<void>;
  /** Ends it at once and deletes its directory. */
  remove(): Promise<void>;
}

/** Names the shared broker's bootstrap server to the tests that `scripts/test` runs. */
export const SHARED_BROKER_VARIABLE = "PCAPTS_TEST_KAFKA";

/** Root of the checkout; this file runs from dist/test. */
export const projectRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** Where set-up keeps what it fetched: jars, the Python environment, the newest Node. */
export const cacheDirectory = process.env["PCAPTS_TEST_CACHE"] ?? path.join(projectRoot, ".cache");

/** Python with confluent-kafka. */
export const pythonExecutable = path.join(cacheDirectory, "python/bin/python");

/** The newest Node that npm has, of the last seven days; fetched by `scripts/setup --long`. */
export const newestNodeExecutable = path.join(cacheDirectory, "node-newest/bin/node");

const CLUSTER_ID = "cGNhcHRzLXRlc3RzLTAwMQ";
const START_TIMEOUT_MS = 60_000;
const ZOOKEEPER_SESSION_MS = 2_000;
const DIRECTORY_PREFIX = "pcapts-broker-";

const liveBrokers = new Set<KafkaProcess>();
let exitWatched = false;

/** A port of 127.0.0.1 that nobody listens on, below the range that outgoing connections take. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

/** So many ports, all different. */
async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}

let shared: Promise<{ bootstrap: string }> | undefined;

/** The broker of the whole suite; started here, and stopped at exit, when nobody did so before. */
export function sharedBroker(): Promise<{ bootstrap: string }> {
  const bootstrap = process.env[SHARED_BROKER_VARIABLE];
  shared ??= bootstrap === undefined ? startBroker() : Promise.resolve({ bootstrap });
  return shared;
}

/** Starts a broker on free ports with an empty log; resolves when it serves. */
export async function startBroker(options: BrokerOptions = {}): Promise<TestBroker> {
  for (let attempt = 1; ; attempt++) {
    const directory = makeServerDirectory(DIRECTORY_PREFIX);
    const names = Object.keys(options.listeners ?? {});
    const [port = 0, controllerPort = 0, ...others] = await freePorts(2 + names.length);
    const listenerPorts = Object.fromEntries(names.map((name, n) => [name, others[n] ?? 0]));
    const broker = new KafkaProcess(options, { port, controllerPort, listenerPorts, directory });
    try {
      broker.prepare();
      await broker.start();
      return broker;
    } catch (error) {
      const portTaken = /Address already in use/.test(broker.log());
      await broker.remove();
      if (!portTaken || attempt === 3) throw error;
    }
  }
}

/**
 * Starts a cluster of brokers that are controllers, too. Replicas are brought back within a second
 * or two after a death, and topics have `replicationFactor` as they are created.
 *
 * @param count of nodes, numbered from 1
 */
export async function startCluster(
  count: number,
  properties: Readonly<Record<string, string | number | boolean>> = {},
): Promise<readonly TestBroker[]> {
  for (let attempt = 1; ; attempt++) {
    const ports = await freePorts(2 * count);
    const controllerPorts = ports.slice(count);
    const voters = controllerPorts.map((port, n) => `${n + 1}@127.0.0.1:${port}`).join(",");
    const brokers = controllerPorts.map(
      (controllerPort, n) =>
        new KafkaProcess(
          {
            nodeId: n + 1,
            heapMegabytes: 300,
            properties: {
              "controller.quorum.voters": voters,
              "controller.quorum.election.timeout.ms": 500,
              "controller.quorum.fetch.timeout.ms": 1000,
              "replica.lag.time.max.ms": 3000,
              ...properties,
            },
          },
          {
            port: ports[n]!,
            controllerPort,
            listenerPorts: {},
            directory: makeServerDirectory(DIRECTORY_PREFIX),
          },
        ),
    );
    for (const broker of brokers) broker.prepare();
    const started = await Promise.allSettled(brokers.map((broker) => broker.start()));
    const failed = started.find((result) => result.status === "rejected");
    if (failed === undefined) return brokers;
    const portTaken = brokers.some((broker) => /Address already in use/.test(broker.log()));
    await Promise.all(brokers.map((broker) => broker.remove()));
    if (!portTaken || attempt === 3) throw failed.reason;
  }
}

/** A topic name that no other test has. */
export function randomTopicName(prefix = "frames"): string {
  return `${prefix}-${randomBytes(6).toString("hex")}`;
}

/** Creates a topic and waits until its partitions have leaders. */
export async function createTopic(
  bootstrap: string,
  name: string,
  options: {
    readonly partitions?: number;
    readonly replicationFactor?: number;
    readonly config?: Readonly<Record<string, string | number | boolean>>;
  } = {},
): Promise<void> {
  const kafka = new Kafka({
    brokers: [bootstrap],
    clientId: "pcapts-test",
    logLevel: logLevel.NOTHING,
  });
  const admin = kafka.admin();
  await admin.connect();
  try {
    const topics = [
      {
        topic: name,
        numPartitions: options.partitions ?? 1,
        replicationFactor: options.replicationFactor ?? 1,
        configEntries: Object.entries(options.config ?? {}).map(([key, value]) => ({
          name: key,
          value: String(value),
        })),
      },
    ];
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        await admin.createTopics({ waitForLeaders: false, topics });
        break;
      } catch (error) {
        // A broker with ZooKeeper listens a moment before it knows who the controller is.
        const isEarly = (error as Error).name === "KafkaJSBrokerNotFound";
        if (!isEarly || Date.now() > deadline) throw error;
        await sleep(20);
      }
    }
    // kafkajs's own waiting gives up when a busy broker does not know the topic yet.
    while (!(await hasLeaders(admin, name))) {
      if (Date.now() > deadline) throw new Error(`topic ${JSON.stringify(name)} has no leaders`);
      await sleep(20);
    }
  } finally {
    await admin.disconnect();
  }
}

async function hasLeaders(admin: Admin, topic: string): Promise<boolean> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]?.partitions.every(({ leader }) => leader >= 0) ?? false;
  } catch (error) {
    if ((error as { type?: string }).type === "UNKNOWN_TOPIC_OR_PARTITION") return false;
    throw error;
  }
}

class KafkaProcess implements TestBroker {
  readonly bootstrap: string;
  readonly port: number;
  readonly controllerPort: number;
  readonly listenerPorts: Readonly<Record<string, number>>;
  readonly directory: string;
  readonly #options: BrokerOptions;
  readonly #version: KafkaVersion;
  readonly #logFile: string;
  #kafka: ChildProcess | undefined;
  #zookeeper: ChildProcess | undefined;
  #diedAtMs: number | undefined;

  constructor(options: BrokerOptions, place: BrokerPlace) {
    this.#options = options;
    this.#version = options.version ?? "4.3.0";
    this.port = place.port;
    this.controllerPort = place.controllerPort;
    this.listenerPorts = place.listenerPorts;
    this.directory = place.directory;
    this.bootstrap = `127.0.0.1:${place.port}`;
    this.#logFile = path.join(place.directory, "kafka.log");
  }

  get pid(): number | undefined {
    return this.#kafka?.pid;
  }

  get #hasZookeeper(): boolean {
    return this.#version === "2.7.2";
  }

  log(): string {
    return fs.existsSync(this.#logFile) ? fs.readFileSync(this.#logFile, "utf8") : "";
  }

  /** Writes the configuration and an empty, formatted data directory. */
  prepare(): void {
    const data = path.join(this.directory, "data");
    const own = this.#options.properties ?? {};
    const properties = {
      ...this.#defaultProperties(data),
      ...(typeof own === "function" ? own(this) : own),
    };
    fs.writeFileSync(path.join(this.directory, "server.properties"), formatProperties(properties));
    if (this.#hasZookeeper) {
      const zookeeper = {
        dataDir: path.join(this.directory, "zookeeper"),
        clientPort: this.controllerPort,
        clientPortAddress: "127.0.0.1",
        "admin.enableServer": false,
        // Allows a session to end after two ticks.
        tickTime: 500,
        maxClientCnxns: 0,
      };
      fs.writeFileSync(
        path.join(this.directory, "zookeeper.properties"),
        formatProperties(zookeeper),
      );
    } else {
      fs.cpSync(formattedDirectory(this.#version), data, { recursive: true });
      this.#nameNode(path.join(data, "meta.properties"));
    }
  }

  /** The formatted directory is that of node 1; each directory of a cluster has an id of its own. */
  #nameNode(file: string): void {
    const { nodeId = 1 } = this.#options;
    if (nodeId === 1) return;
    const text = fs.readFileSync(file, "utf8");
    const directoryId = randomBytes(16).toString("base64url");
    fs.writeFileSync(
      file,
      text
        .replace(/^node\.id=.*$/m, `node.id=${nodeId}`)
        .replace(/^directory\.id=.*$/m, `directory.id=${directoryId}`),
    );
  }

  async start(): Promise<void> {
    if (this.#kafka !== undefined) throw new Error(`broker ${this.bootstrap} already runs`);
    watchExit();
    liveBrokers.add(this);
    if (this.#hasZookeeper && this.#zookeeper === undefined) {
      this.#zookeeper = this.#spawnJava("zookeeper.log", [
        "org.apache.zookeeper.server.ZooKeeperServerMain",
        path.join(this.directory, "zookeeper.properties"),
      ]);
      await waitUntilListening("ZooKeeper", this.controllerPort, this.#zookeeper);
    }
    if (this.#hasZookeeper && this.#diedAtMs !== undefined) {
      // The dead broker's session has to end first; its name is taken until then.
      await sleep(Math.max(0, this.#diedAtMs + ZOOKEEPER_SESSION_MS * 1.5 - Date.now()));
    }
    const alreadyLogged = fs.existsSync(this.#logFile) ? fs.statSync(this.#logFile).size : 0;
    const child = this.#spawnJava("kafka.log", [
      "kafka.Kafka",
      path.join(this.directory, "server.properties"),
    ]);
    this.#kafka = child;
    child.once("exit", () => {
      if (this.#kafka === child) this.#kafka = undefined;
      this.#diedAtMs = Date.now();
    });
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!this.#startedSince(alreadyLogged)) {
      const dead = child.exitCode !== null || child.signalCode !== null;
      if (dead || Date.now() > deadline) {
        const how = dead
          ? `ended with ${child.exitCode ?? child.signalCode}`
          : `was not ready after ${START_TIMEOUT_MS / 1000} s`;
        if (!dead) await this.kill();
        throw new Error(
          `Kafka ${this.#version} at ${this.bootstrap} ${how}; the end of its log:\n${tail(this.log())}`,
        );
      }
      await sleep(25);
    }
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await endProcess(this.#kafka, signal);
  }

  async stop(): Promise<void> {
    await endProcess(this.#kafka, "SIGTERM");
    await endProcess(this.#zookeeper, "SIGTERM");
    this.#zookeeper = undefined;
    liveBrokers.delete(this);
  }

  async remove(): Promise<void> {
    await endProcess(this.#kafka, "SIGKILL");
    await endProcess(this.#zookeeper, "SIGKILL");
    this.#zookeeper = undefined;
    liveBrokers.delete(this);
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  /** For the end of the process, where nothing can be awaited. */
  removeNow(): void {
    this.#kafka?.kill("SIGKILL");
    this.#zookeeper?.kill("SIGKILL");
    fs.rmSync(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  #startedSince(byte: number): boolean {
    return /Kafka Server started|\[KafkaServer id=\d+\] started/.test(
      fs.readFileSync(this.#logFile).toString("latin1", byte),
    );
  }

  #spawnJava(logName: string, mainClass: readonly string[]): ChildProcess {
    const jvm =
      this.#options.jvm === "server"
        ? [
            "-server",
            "-XX:+UseG1GC",
            "-XX:MaxGCPauseMillis=20",
            "-XX:InitiatingHeapOccupancyPercent=35",
          ]
        : ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"];
    return spawnWithParent(
      "java",
      [
        ...jvm,
        `-Xmx${this.#options.heapMegabytes ?? 512}m`,
        "-Djava.awt.headless=true",
        "-Djava.net.preferIPv4Stack=true",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        ...(this.#options.jvmArguments ?? []),
        "-cp",
        classPath(this.#version),
        ...mainClass,
      ],
      path.join(this.directory, logName),
    );
  }

  #defaultProperties(data: string): Record<string, string | number | boolean> {
    const more = Object.entries(this.listenerPorts);
    const protocols = Object.entries(this.#options.listeners ?? {});
    const everywhere = {
      "log.dirs": data,
      "advertised.listeners": [
        `PLAINTEXT://127.0.0.1:${this.port}`,
        ...more.map(([name, port]) => `${name}://localhost:${port}`),
      ].join(","),
      "listener.security.protocol.map": [
        "PLAINTEXT:PLAINTEXT",
        ...(this.#hasZookeeper ? [] : ["CONTROLLER:PLAINTEXT"]),
        ...protocols.map(([name, protocol]) => `${name}:${protocol}`),
      ].join(","),
      "auto.create.topics.enable": false,
      "offsets.topic.replication.factor": 1,
      "offsets.topic.num.partitions": 4,
      "transaction.state.log.replication.factor": 1,
      "transaction.state.log.min.isr": 1,
      "transaction.state.log.num.partitions": 4,
      "group.initial.rebalance.delay.ms": 0,
      "log.segment.delete.delay.ms": 1000,
      // Tests publish frames of years ago: retention takes them only where a test asks for it.
      "log.retention.check.interval.ms": 24 * 3_600_000,
      "log.initial.task.delay.ms": 24 * 3_600_000,
    };
    const listeners = [
      `PLAINTEXT://127.0.0.1:${this.port}`,
      ...more.map(([name, port]) => `${name}://127.0.0.1:${port}`),
    ];
    if (this.#hasZookeeper) {
      return {
        ...everywhere,
        "broker.id": 1,
        listeners: listeners.join(","),
        "zookeeper.session.timeout.ms": ZOOKEEPER_SESSION_MS,
        "zookeeper.connect": `127.0.0.1:${this.controllerPort}`,
      };
    }
    return {
      ...everywhere,
      "process.roles": "broker,controller",
      "node.id": this.#options.nodeId ?? 1,
      "controller.quorum.voters": `1@127.0.0.1:${this.controllerPort}`,
      listeners: [...listeners, `CONTROLLER://127.0.0.1:${this.controllerPort}`].join(","),
      "controller.listener.names": "CONTROLLER",
      // After a kill the controller waits for the dead broker's session: 9 s by default.
      "broker.session.timeout.ms": 2000,
      "broker.heartbeat.interval.ms": 250,
      ...(this.#version === "4.3.0" && {
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
      }),
    };
  }
}

/**
 * Runs one of Kafka's own tools.
 *
 * @param mainClass such as `org.apache.kafka.tools.AclCommand`
 * @returns its standard output
 * @throws with what it said, unless it ends with 0
 */
export function runKafkaTool(
  version: KafkaVersion,
  mainClass: string,
  args: readonly string[],
): string {
  const jvm = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classPath(version)];
  const run = spawnSync("java", [...jvm, mainClass, ...args], { encoding: "utf8" });
  if (run.status === 0) return run.stdout;
  throw new Error(`${mainClass} ${args.join(" ")} failed: ${run.error ?? run.stderr}${run.stdout}`);
}

/** Jars of one version, as set-up left them. */
function classPath(version: KafkaVersion): string {
  const directory = path.join(cacheDirectory, `kafka-${version}`);
  if (!fs.existsSync(path.join(directory, ".complete"))) {
    const flag = version === "4.3.0" ? "--test" : "--long";
    throw new Error(
      `No Kafka ${version} in ${JSON.stringify(directory)}: run scripts/setup ${flag}`,
    );
  }
  return path.join(directory, "*");
}

/**
 * An empty data directory of this version. All brokers share its cluster and
 * directory ids; they never meet.
 */
function formattedDirectory(version: KafkaVersion): string {
  const formatted = path.join(cacheDirectory, `kafka-${version}-formatted`);
  if (fs.existsSync(formatted)) return formatted;
  const scratch = fs.mkdtempSync(`${formatted}-`);
  const properties = path.join(scratch, "server.properties");
  const data = path.join(scratch, "data");
  fs.writeFileSync(
    properties,
    formatProperties({
      "process.roles": "broker,controller",
      "node.id": 1,
      "controller.quorum.voters": "1@127.0.0.1:9093",
      listeners: "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
      "controller.listener.names": "CONTROLLER",
      "log.dirs": data,
    }),
  );
  const run = spawnSync(
    "java",
    ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classPath(version)].concat([
      "kafka.tools.StorageTool",
      "format",
      "-t",
      CLUSTER_ID,
      "-c",
      properties,
    ]),
    { encoding: "utf8" },
  );
  if (run.status !== 0) {
    fs.rmSync(scratch, { recursive: true, force: true });
    throw new Error(`Cannot format a Kafka ${version} directory: ${run.stderr ?? run.error}`);
  }
  try {
    fs.renameSync(data, formatted);
  } catch (error) {
    // Another test process was first.
    if (!fs.existsSync(formatted)) throw error;
  }
  fs.rmSync(scratch, { recursive: true, force: true });
  return formatted;
}

function watchExit(): void {
  if (exitWatched) return;
  exitWatched = true;
  process.on("exit", () => {
    for (const broker of liveBrokers) broker.removeNow();
  });
}

function formatProperties(properties: Record<string, string | number | boolean>): string {
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${String(value).replaceAll("\\", "\\\\")}\n`)
    .join("");
}

function tail(text: string): string {
  return text.split("\n").slice(-40).join("\n");
}
