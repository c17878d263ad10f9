import type { LiveSource } from "../capture/live-source.ts";
import type { WatchedSource } from "../capture/watched-source.ts";
import { formatBrokerAddress, parseListenAddress } from "../config/broker-address.ts";
import type { OptionValues } from "../config/option-table.ts";
import { PcaptsError } from "../errors.ts";
import type { ClientObserver } from "../kafka/client-observer.ts";
import type { ConsumerRun, ProducerRun } from "../pipeline/run-status.ts";
import type { ConsumerFacts, ProducerFacts } from "../service/metric-table.ts";
import type { Metrics } from "../service/metrics.ts";
import { ConsumerHealth, type Health, ProducerHealth, STARTING } from "../service/run-health.ts";
import { readServiceManager, ServiceManager } from "../service/service-manager.ts";
import type { CommandContext } from "./command-context.ts";
import { formatConsumeSummary, formatProduceSummary } from "./summary-text.ts";
import { readPcaptsVersion } from "./version.ts";

/** How often a run is looked at, unless a watchdog wants to hear of it more often. */
const LOOK_EVERY_MS = 1000;

/** What was asked for: `--metrics`, or a service manager that wants to be told. */
type ServiceValues = Pick<OptionValues, "metrics" | "stall-timeout">;

/** A run that is started. */
interface Started {
  readonly health: Health;
  /** The line of its counters. */
  readonly describe: () => string;
  /** It does, or has done, what it was started for. */
  readonly isStarted: () => boolean;
}

/**
 * What lets others see how a run goes: `--metrics`, and systemd's
 * notifications. Undefined where nobody asked for any of it.
 *
 * @throws PcaptsError USAGE and METRICS_LISTEN
 */
export async function openRunService(
  mode: "producer" | "consumer",
  values: ServiceValues,
  context: CommandContext,
): Promise<RunService | undefined> {
  const address = readMetricsAddress(values.metrics);
  const manager = await openServiceManager(context);
  if (address === undefined && manager === undefined) return undefined;
  const service = new RunService(values["stall-timeout"] * 1000, manager, context);
  if (address !== undefined) await service.serve(mode, address);
  return service;
}

/** Looks at a run now and then, and tells those who asked. */
export class RunService {
  readonly #version = readPcaptsVersion();
  readonly #limitMs: number;
  readonly #manager: ServiceManager | undefined;
  readonly #context: CommandContext;
  readonly #interfaces: WatchedSource[] = [];
  #metrics: Metrics<ProducerFacts> | Metrics<ConsumerFacts> | undefined;
  #health: Health = STARTING;
  #producer: ProducerRun | undefined;
  #consumer: ConsumerRun | undefined;
  #hasStarted = false;

  constructor(limitMs: number, manager: ServiceManager | undefined, context: CommandContext) {
    this.#limitMs = limitMs;
    this.#manager = manager;
    this.#context = context;
  }

  /** To be told of requests and batches. */
  get observer(): ClientObserver | undefined {
    return this.#metrics?.observer;
  }

  /** Listens. @throws PcaptsError METRICS_LISTEN */
  async serve(
    mode: "producer" | "consumer",
    address: { readonly host: string; readonly port: number },
  ): Promise<void> {
    const [{ Metrics }, { StatusServer }] = await Promise.all([
      import("../service/metrics.ts"),
      import("../service/status-server.ts"),
    ]);
    const metrics =
      mode === "producer"
        ? Metrics.ofProducer(() => this.#producerFacts())
        : Metrics.ofConsumer(() => this.#consumerFacts());
    this.#metrics = metrics;
    const server = await StatusServer.open(address, { metrics, health: () => this.#health });
    const url = formatBrokerAddress({ host: address.host, port: server.port });
    this.#context.logger.info(`Metrics at http://${url}/metrics, health at /healthz and /readyz`);
  }

  /** Notices whether an interface's engine delivers. */
  readonly watchSource = async (source: LiveSource): Promise<LiveSource> => {
    const { WatchedSource } = await import("../capture/watched-source.ts");
    const watched = new WatchedSource(source, () => performance.now());
    this.#interfaces.push(watched);
    return watched;
  };

  /** Looks at a producer from now on. */
  watchProducer(run: ProducerRun): void {
    this.#producer = run;
    this.#watch(run.done, {
      health: new ProducerHealth({
        run,
        listStalls: () => this.#interfaces.flatMap((source) => source.stallOf(this.#limitMs) ?? []),
        limitMs: this.#limitMs,
        nowMs: () => performance.now(),
      }),
      describe: () => formatProduceSummary(run.summary()),
      isStarted: () => run.status().isCapturing,
    });
  }

  /** Looks at a consumer from now on. */
  watchConsumer(run: ConsumerRun): void {
    this.#consumer = run;
    this.#watch(run.done, {
      health: new ConsumerHealth(run),
      describe: () => formatConsumeSummary(run.summary()),
      // A topic that nobody has made yet may be waited for as long as it takes.
      isStarted: () => run.status().brokers.some(({ isConnected }) => isConnected),
    });
  }

  #watch(done: Promise<unknown>, started: Started): void {
    this.#health = started.health;
    const beatEveryMs = this.#manager?.settings.beatEveryMs ?? Infinity;
    const look = (): void => this.#look(started);
    const timer = setInterval(look, Math.min(LOOK_EVERY_MS, beatEveryMs / 2));
    timer.unref();
    done
      .catch(() => {})
      .finally(() => {
        clearInterval(timer);
        this.#sayEnd();
      });
  }

  #sayEnd(): void {
    if (this.#manager === undefined) return;
    this.#manager.stopping();
    if (this.#interfaces.length === 0) return;
    const names = this.#interfaces.map(({ name }) => name).join(", ");
    this.#context.logger.info(
      `What ${names} receives from now until the next start is not captured`,
    );
  }

  #look({ health, describe, isStarted }: Started): void {
    health.look();
    this.#hasStarted ||= isStarted();
    this.#manager?.tell(this.#hasStarted, health.illness(), describe(), performance.now());
  }

  #facts(
    mode: "producer" | "consumer",
  ): Pick<ProducerFacts, "version" | "mode" | "isHealthy" | "isReady"> {
    return {
      version: this.#version,
      mode,
      isHealthy: this.#health.illness().length === 0,
      isReady: this.#health.hindrances().length === 0,
    };
  }

  #producerFacts(): ProducerFacts | undefined {
    const run = this.#producer;
    if (run === undefined) return undefined;
    return {
      ...this.#facts("producer"),
      summary: run.summary(),
      status: run.status(),
      interfaces: this.#interfaces.map((source) => ({
        name: source.name,
        counters: source.counters(),
      })),
    };
  }

  #consumerFacts(): ConsumerFacts | undefined {
    const run = this.#consumer;
    if (run === undefined) return undefined;
    return { ...this.#facts("consumer"), summary: run.summary(), status: run.status() };
  }
}

function readMetricsAddress(
  text: string | undefined,
): { readonly host: string; readonly port: number } | undefined {
  if (text === undefined) return undefined;
  // A port is not assumed: that of Kafka would be wrong, and there is no other.
  if (!/^(\[[^\]]+\]|[^:]+):\d+$/.test(text)) {
    throw new PcaptsError(
      "USAGE",
      `--metrics expects HOST:PORT, such as 127.0.0.1:9464, not "${text}"`,
    );
  }
  return parseListenAddress(text, "--metrics");
}

async function openServiceManager({ logger }: CommandContext): Promise<ServiceManager | undefined> {
  const settings = readServiceManager(process.env, process.pid);
  if (settings === undefined) return undefined;
  // What this process starts is not what the manager waits for.
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete process.env[name];
  const { loadNativeAddon } = await import("../native-addon.ts");
  let send: (address: string, text: string) => void;
  try {
    const addon = loadNativeAddon();
    send = (address, text) => addon.notify(address, text);
  } catch (error) {
    logger.warn(
      `Cannot tell the service manager how it goes: ${String(error)}; a unit then needs Type=exec and no WatchdogSec`,
    );
    return undefined;
  }
  return new ServiceManager({
    settings,
    send,
    warn: (message) => logger.warn(message),
    error: (message) => logger.error(message),
  });
}
