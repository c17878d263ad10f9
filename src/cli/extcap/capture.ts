import type { Socket } from "node:net";
import { Writable } from "node:stream";
import { PcaptsError } from "../../errors.ts";
import type { ConsumeOptions, ConsumeSummary } from "../../pipeline/pipeline-options.ts";
import { readConsumeOptions } from "../consume-options.ts";
import { describeSystemError, formatError } from "../error-text.ts";
import { openNamedPipe } from "../named-pipe.ts";
import { quietLogger } from "../quiet-logger.ts";
import { type RunReport, runToEnd } from "../run-to-end.ts";
import type { StopSignals } from "../stop-signals.ts";
import { formatConsumeSummary } from "../summary-text.ts";
import { createCaptureLogger } from "./capture-logger.ts";
import type { ExtcapLine } from "./extcap-line.ts";
import { Toolbar } from "./toolbar.ts";

/** What a capture for Wireshark is started with. */
export interface CaptureContext {
  /** The environment. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly signals: StopSignals;
  /** Tells Wireshark what is wrong: it shows what it was told when the capture has ended. */
  readonly sayError: (message: string) => void;
}

/**
 * The answer to `--capture`: a topic's frames as pcapng into Wireshark's pipe, until that is closed or a
 * signal comes. What is changed in the tool bar meanwhile begins another section of the file.
 *
 * @param line says what to capture, and where the pipes are
 * @returns exit status
 * @throws PcaptsError USAGE, FILTER_INVALID, FILE_NOT_READABLE, OUTPUT_NOT_WRITABLE
 */
export async function captureForWireshark(
  line: ExtcapLine,
  { variables, signals, sayError }: CaptureContext,
): Promise<number> {
  signals.onStop(() => process.exit(0));
  const pipe = await openPipe(line);
  const toolbar = await openToolbar(line);
  try {
    const logger = await createCaptureLogger(line, toolbar, sayError);
    await toolbar?.ready;
    const readOptions = async (): Promise<ConsumeOptions> => ({
      ...(await readConsumeOptions(line.asConsumer(variables, toolbar?.changed), quietLogger)),
      topicMustExist: true,
      compression: undefined,
    });
    const { consumePackets } = await import("../../pipeline/consume-packets.ts");
    const { checkTopicFilter } = await import("../../pipeline/topic-filter.ts");
    const report: RunReport<ConsumeSummary> = {
      format: formatConsumeSummary,
      intervalMs: 0,
      judge: () => 0,
      isAbandoned: () => pipe.destroyed,
    };
    for (let options = await readOptions(); ;) {
      let changed: ConsumeOptions | undefined;
      const run = consumePackets(new Section(pipe), options, logger);
      // While no frame comes, nothing is written that could fail.
      pipe.once("close", () => run.stop());
      toolbar?.onChange(() => {
        void readOptions()
          .then((next) => {
            if (next.filter !== undefined) checkTopicFilter(next.filter);
            changed = next;
            run.stop();
          })
          .catch((error: unknown) => toolbar.warn(formatError(error, false)));
      });
      const status = await runToEnd(run, report, { logger, signals });
      if (changed === undefined || signals.stopped || pipe.destroyed) return status;
      options = changed;
    }
  } finally {
    toolbar?.close();
    pipe.end();
  }
}

/** One section of the file: what ends it leaves the pipe open. */
class Section extends Writable {
  readonly #pipe: Socket;

  constructor(pipe: Socket) {
    super();
    this.#pipe = pipe;
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#pipe.write(bytes, done);
  }
}

async function openPipe(line: ExtcapLine): Promise<Socket> {
  const path = line.text("fifo");
  if (path === undefined) throw new PcaptsError("USAGE", "--capture needs --fifo FILE");
  try {
    const pipe = await openNamedPipe(path);
    pipe.on("error", () => {});
    return pipe;
  } catch (error) {
    throw new PcaptsError(
      "OUTPUT_NOT_WRITABLE",
      `Cannot write "${path}": ${describeSystemError(error)}`,
      { cause: error },
    );
  }
}

async function openToolbar(line: ExtcapLine): Promise<Toolbar | undefined> {
  const input = line.text("extcap-control-in");
  const output = line.text("extcap-control-out");
  if (input === undefined || output === undefined) return undefined;
  try {
    return await Toolbar.open(input, output);
  } catch (error) {
    throw new PcaptsError(
      "OUTPUT_NOT_WRITABLE",
      `Cannot open "${input}" and "${output}": ${describeSystemError(error)}`,
      { cause: error },
    );
  }
}
