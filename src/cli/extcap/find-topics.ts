import { formatBrokerAddress } from "../../config/broker-address.ts";
import { createTransport } from "../../kafka/transport.ts";
import { readKafkaSettings } from "../command-settings.ts";
import { formatError } from "../error-text.ts";
import { quietLogger } from "../quiet-logger.ts";
import type { ExtcapLine } from "./extcap-line.ts";
import type { FoundTopics } from "./sentences.ts";

/**
 * Asks the brokers for their topics. Whatever keeps them from answering is an answer, too: Wireshark
 * asks each time it starts, and would show an error each time.
 *
 * @param line says which brokers, which topics, and how long they are waited for
 * @param variables the environment
 */
export async function findTopics(
  line: ExtcapLine,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<FoundTopics> {
  try {
    const patterns = parsePatterns(line.text("topics") ?? "");
    const consumer = line.asConsumer(variables);
    const { client } = await readKafkaSettings(consumer, "consumer", quietLogger);
    const timeoutMs = Number(line.text("list-timeout")) * 1000;
    const given = client.brokers.map(formatBrokerAddress).join(",");
    let giveUp = (_reason: string): void => {};
    const none = new Promise<FoundTopics>((resolve) => {
      giveUp = (reason) => resolve({ reason });
    });
    setTimeout(() => giveUp(`${given} did not name its topics in ${timeoutMs} ms`), timeoutMs);
    const logger = {
      ...quietLogger,
      // Said when a broker is tried again, which is not worth the wait where there is no other.
      warn: (text: string) => client.brokers.length === 1 && giveUp(briefly(text)),
    };
    const transport = createTransport({ ...client, connectTimeoutMs: timeoutMs }, logger);
    const ask = async (): Promise<FoundTopics> => {
      await transport.connect();
      const names = await transport.listTopics();
      return { names: names.filter((name) => patterns.some((pattern) => pattern.test(name))) };
    };
    // Connections and timers that are left end with the process.
    return await Promise.race([ask(), none]);
  } catch (error) {
    return { reason: briefly(formatError(error, false)) };
  }
}

/** `web*,mail` as expressions for whole names. */
function parsePatterns(text: string): RegExp[] {
  return text.split(",").map((name) => {
    const parts = name
      .trim()
      .split("*")
      .map((part) => part.replaceAll(/[^\w-]/g, String.raw`\$&`));
    return new RegExp(`^${parts.join(".*")}$`);
  });
}

/** What is wrong, without what might be done: it is shown in a list. */
function briefly(text: string): string {
  return text.split(";", 1)[0]!;
}
