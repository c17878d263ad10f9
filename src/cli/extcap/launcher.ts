import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { PcaptsError } from "../../errors.ts";
import { packageFile } from "../../package-file.ts";
import { describeSystemError } from "../error-text.ts";
import { ANY_TOPIC, ExtcapLine, interfaceOfTopic } from "./extcap-line.ts";
import { formatSettings } from "./sentences.ts";

/** How the launcher is called, and how Wireshark then names it in About, Plugins. */
const NAME = "pcapts";

/** By this line a launcher is known. */
const MARK = "# Topics of Kafka as interfaces of Wireshark; made by: pcapts extcap --install";

const PROGRAM = fileURLToPath(packageFile("bin/pcapts.js"));

/** Is made anew whenever the settings are. */
const TABLE = fileURLToPath(packageFile("dist/src/config/extcap-option-table.js"));

/** What became of the launchers that were to be taken away. */
export interface RemovedLaunchers {
  readonly files: readonly string[];
  /** Where there was none. */
  readonly missing: readonly string[];
}

/**
 * Puts the launcher where Wireshark looks.
 *
 * @param line its settings are those of the launcher
 * @returns where it is now
 * @throws PcaptsError OUTPUT_NOT_WRITABLE
 */
export function installLauncher(line: ExtcapLine): readonly string[] {
  const script = formatLauncher(line);
  const files = listFolders(line).map((folder) => path.join(folder, NAME));
  for (const file of files) {
    try {
      if (existsSync(file)) checkIsOurs(file);
      mkdirSync(path.dirname(file), { recursive: true });
      // There may be a password in it.
      writeFileSync(file, script, { mode: 0o700 });
      chmodSync(file, 0o700);
    } catch (error) {
      throw asNotWritable(file, error);
    }
  }
  return files;
}

/**
 * Takes the launcher away.
 *
 * @param line may name the folder
 * @throws PcaptsError OUTPUT_NOT_WRITABLE
 */
export function uninstallLauncher(line: ExtcapLine): RemovedLaunchers {
  const files = listFolders(line).map((folder) => path.join(folder, NAME));
  const found = files.filter((file) => existsSync(file));
  for (const file of found) {
    try {
      checkIsOurs(file);
      rmSync(file);
    } catch (error) {
      throw asNotWritable(file, error);
    }
  }
  return { files: found, missing: files.filter((file) => !found.includes(file)) };
}

/**
 * Wireshark asks for the settings of every interface when it starts. The launcher answers that itself
 * as long as it is newer than what the answer is made of. Measured with 20 topics, in seconds of CPU
 * time of `tshark -D`: 0.3 without pcapts, 0.8 as it is, 3.5 with a Node for each answer.
 */
function formatLauncher(line: ExtcapLine): string {
  const settings = line.listSettings().map(([row, text]) => `--${row.long}=${absolute(row, text)}`);
  const settingsOf = (name: string): string =>
    quote(formatSettings(new ExtcapLine([...settings, `--extcap-interface=${name}`])));
  const command = [process.execPath, PROGRAM, "extcap", ...settings].map(quote).join(" ");
  return `#!/bin/sh
${MARK}
if [ "$1 $2 $#" = "--extcap-config --extcap-interface 3" ] && [ "$0" -nt ${quote(TABLE)} ]; then
  case "$3" in
  ${interfaceOfTopic("")}*)
    printf '%s' ${settingsOf(interfaceOfTopic("x"))}
    exit
    ;;
  ${ANY_TOPIC})
    printf '%s' ${settingsOf(ANY_TOPIC)}
    exit
    ;;
  esac
fi
exec ${command} "$@"
`;
}

/** Wireshark has a working directory of its own. */
function absolute({ completes }: { readonly completes?: string }, text: string): string {
  return completes === "file" ? path.resolve(text) : text;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** The personal folder, as the Wireshark that is installed names it; else those of all versions. */
function listFolders(line: ExtcapLine): string[] {
  const folder = line.text("folder");
  if (folder !== undefined) return [path.resolve(folder)];
  const { stdout } = spawnSync("tshark", ["-G", "folders"], { encoding: "utf8" });
  const named = (title: string): string | undefined =>
    new RegExp(`^${title}:\\s*(.+)$`, "m").exec(stdout ?? "")?.[1];
  const personal = named("Personal Extcap path");
  if (personal !== undefined) return [personal];
  const configuration = named("Personal configuration");
  if (configuration !== undefined) return [path.join(configuration, "extcap")];
  return [
    path.join(homedir(), ".local/lib/wireshark/extcap"),
    path.join(homedir(), ".config/wireshark/extcap"),
  ];
}

function checkIsOurs(file: string): void {
  if (readFileSync(file, "utf8").includes(MARK)) return;
  throw new PcaptsError(
    "OUTPUT_NOT_WRITABLE",
    `Cannot write "${file}": there is a file that pcapts extcap --install has not made; move it away`,
  );
}

function asNotWritable(file: string, error: unknown): PcaptsError {
  if (error instanceof PcaptsError) return error;
  return new PcaptsError(
    "OUTPUT_NOT_WRITABLE",
    `Cannot write "${file}": ${describeSystemError(error)}; --folder DIR names another place`,
    { cause: error },
  );
}
