import { PcaptsError } from "../../errors.ts";
import type { CaptureContext } from "./capture.ts";
import { ANY_TOPIC, type ExtcapLine, interfaceOfTopic } from "./extcap-line.ts";

/** What Wireshark, or whoever calls, is told. */
export interface ExtcapAnswer {
  /** For standard output. */
  readonly text: string;
  /** Exit status. */
  readonly status: number;
}

/**
 * `pcapts extcap`: what Wireshark's extcap interface asks for (extcap(4)), and the launcher that it
 * asks through.
 *
 * @param line the command line
 * @param context for a capture
 * @throws PcaptsError
 */
export async function extcapCommand(
  line: ExtcapLine,
  context: CaptureContext,
): Promise<ExtcapAnswer> {
  if (line.has("install") || line.has("uninstall"))
    return answer(await changeLauncher(line, context.variables));
  if (line.has("extcap-interfaces")) {
    const { findTopics } = await import("./find-topics.ts");
    const { formatInterfaces } = await import("./sentences.ts");
    return answer(formatInterfaces(await findTopics(line, context.variables)));
  }
  if (!line.has("extcap-interface")) {
    throw new PcaptsError(
      "USAGE",
      "pcapts extcap is called by Wireshark; pcapts extcap --install makes it known there",
    );
  }
  // An interface that is none is refused whatever is asked of it.
  line.topic();
  if (line.has("capture")) {
    const { captureForWireshark } = await import("./capture.ts");
    return { text: "", status: await captureForWireshark(line, context) };
  }
  if (line.has("extcap-capture-filter")) return answer(await checkFilter(line));
  const sentences = await import("./sentences.ts");
  if (line.has("extcap-dlts")) return answer(sentences.formatLinkTypes());
  if (line.has("extcap-reload-option")) {
    const { findTopics } = await import("./find-topics.ts");
    const found = await findTopics(line, context.variables);
    return answer(sentences.formatTopicChoices(line, "names" in found ? found.names : []));
  }
  return answer(line.has("extcap-config") ? sentences.formatSettings(line) : "");
}

function answer(text: string): ExtcapAnswer {
  return { text, status: 0 };
}

/** Nothing for a filter that is right, else what is wrong with it, in a line. */
async function checkFilter(line: ExtcapLine): Promise<string> {
  try {
    await compileFilter(line.text("extcap-capture-filter"));
    return "";
  } catch (error) {
    if (!(error instanceof PcaptsError)) throw error;
    return `${error.message}\n`;
  }
}

async function compileFilter(expression: string | undefined): Promise<void> {
  if (expression === undefined) return;
  const { checkTopicFilter } = await import("../../pipeline/topic-filter.ts");
  checkTopicFilter(expression);
}

async function changeLauncher(
  line: ExtcapLine,
  variables: CaptureContext["variables"],
): Promise<string> {
  const { installLauncher, uninstallLauncher } = await import("./launcher.ts");
  if (line.has("uninstall")) {
    const { files, missing } = uninstallLauncher(line);
    return [
      ...files.map((file) => `Removed ${file}\n`),
      ...missing.map((file) => `There is no ${file}\n`),
    ].join("");
  }
  // What is wrong is better said now than by Wireshark.
  const { readConsumeOptions } = await import("../consume-options.ts");
  const { quietLogger } = await import("../quiet-logger.ts");
  const { filter } = await readConsumeOptions(line.asConsumer(variables), quietLogger);
  await compileFilter(filter);
  const files = installLauncher(line);
  return (
    files.map((file) => `Wrote ${file}\n`).join("") +
    `Start Wireshark anew, or press F5 there: topics are interfaces now, and so they are for tshark:\n` +
    `  tshark -D\n` +
    `  tshark -i ${interfaceOfTopic("TOPIC")}\n` +
    `  tshark -i ${ANY_TOPIC} -o extcap.${ANY_TOPIC}.topicname:TOPIC\n`
  );
}
