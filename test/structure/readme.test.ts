import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { parseAuditCommandLine } from "../../src/cli/audit-command-line.ts";
import { parseBrokerCommandLine } from "../../src/cli/broker-command-line.ts";
import { ExtcapLine } from "../../src/cli/extcap/extcap-line.ts";
import { parseCommandLine } from "../../src/cli/parse-command-line.ts";
import { parsePropertyAssignment, resolveKafkaSettings } from "../../src/config/kafka-settings.ts";
import { readListenSettings } from "../../src/config/listen-settings.ts";
import { normaliseArgv } from "../../src/config/normalise-argv.ts";
import { parsePropertyFile } from "../../src/config/property-file.ts";
import { projectRoot } from "../brokers.ts";
import { Certificates } from "../certificates.ts";

const PAGES = [
  ...readdirSync(projectRoot).filter((name) => name.endsWith(".md")),
  ...readdirSync(path.join(projectRoot, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => path.join("docs", name)),
].toSorted();

/** Where the pages have a user's certificates, keytab and secrets; they stand here in the tests. */
const PLACE = "/etc/pcapts/";
const place = mkdtempSync(path.join(tmpdir(), "pcapts-readme-")) + path.sep;
after(() => rmSync(place, { recursive: true, force: true }));
fillPlace();

/** What ends a command in a shell's line. */
const SHELL_OPERATORS = new Set(["|", "||", "&", "&&", ";", ">", ">>", "2>", "<", "#"]);

test("the pages that a newcomer looks for are there", () => {
  const expected = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md"];
  assert.deepEqual(
    expected.filter((name) => !PAGES.includes(name)),
    [],
  );
});

test("every command line of pcapts in the pages is one that pcapts accepts", async (t) => {
  const shown = PAGES.flatMap((page) => listCommands(page).map((command) => ({ page, command })));
  assert.ok(shown.length >= 15, `only ${shown.length} command lines were found`);
  for (const { page, command } of shown) {
    await t.test(`${page}: pcapts ${command.join(" ")}`, () => accept(command));
  }
});

test("every relative link in the pages leads to a file, and to a heading of it", () => {
  const broken: string[] = [];
  for (const page of PAGES) {
    for (const target of listLinks(readPage(page))) {
      const [file = "", heading] = target.split("#", 2);
      const found = file === "" ? page : path.join(path.dirname(page), file);
      if (!existsSync(path.join(projectRoot, found))) broken.push(`${page}: ${target}`);
      else if (heading !== undefined && !listHeadings(readPage(found)).includes(heading)) {
        broken.push(`${page}: ${target} (no such heading)`);
      }
    }
  }
  assert.deepEqual(broken, []);
});

test("every file and folder that ARCHITECTURE.md, CONTRIBUTING.md or README.md names is there", () => {
  // A file of the project is named by its path from the root; dist/ and .cache/ are made.
  const ofProject =
    /^(\.\/)?((src|test|bench|docs|scripts|bin|native|examples)\/[\w./-]*|[\w-]+\.md)$/;
  const missing = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"].flatMap((page) => {
    const { spans, blocks } = splitPage(readPage(page));
    const maps = blocks.filter(({ language }) => language === "").map(({ text }) => text);
    const inMaps = maps.flatMap((map) => map.match(/^[\w-]+\/[\w-]*\/?(?=\s)/gm) ?? []);
    const names = [...spans, ...inMaps].filter((name) => ofProject.test(name));
    assert.ok(names.length > 0, page);
    return names
      .filter((name) => !existsSync(path.join(projectRoot, name)))
      .map((name) => `${page}: ${name}`);
  });
  assert.deepEqual(missing, []);
});

/** Fails as the program would. */
function accept(command: readonly string[]): void {
  if (command[0] === "broker") {
    parseBrokerCommandLine(command.slice(1));
    return;
  }
  if (command[0] === "extcap") {
    new ExtcapLine(command.slice(1)).asConsumer({});
    return;
  }
  if (command[0] === "audit") {
    if (!command.includes("--help")) parseAuditCommandLine(command.slice(1));
    return;
  }
  const normal = normaliseArgv(command);
  // These are answered before the rules between flags are looked at.
  if (normal.includes("--help") || normal.includes("--version")) return;
  const { values } = parseCommandLine(command.map((word) => word.replaceAll(PLACE, place)));
  if (!values.producer && !values.consumer) return;
  const { listen, "read-listen": readListen } = values;
  if (listen !== undefined) readListenSettings(listen, "--listen", values);
  if (readListen !== undefined) readListenSettings(readListen, "--read-listen", values);
  const file = values.config?.startsWith(place) === true ? values.config : undefined;
  resolveKafkaSettings({
    mode: values.producer ? "producer" : "consumer",
    properties: [
      ...(file === undefined ? [] : parsePropertyFile(readFileSync(file, "utf8"), file)),
      ...values["kafka-property"].map((text) => parsePropertyAssignment(text, "-X")),
    ],
    brokers: values["kafka-broker"],
    connectTimeoutMs: values["connect-timeout"] * 1000,
  });
}

function fillPlace(): void {
  const certificates = new Certificates(place);
  certificates.createAuthorities();
  copyFileSync(certificates.authority, path.join(place, "ca.pem"));
  certificates.createClient("probe");
  const { certificate, key } = certificates.createServer("localhost");
  copyFileSync(certificate, path.join(place, "server.pem"));
  copyFileSync(key, path.join(place, "server.key"));
  writeFileSync(path.join(place, "probe.keytab"), Buffer.from([5, 2]));
  // The block of properties that the page itself shows.
  const { blocks } = splitPage(readPage("docs/security.md"));
  const secrets = blocks.find(({ text }) => text.includes("sasl.password="));
  assert.ok(secrets !== undefined, "docs/security.md shows the file of secrets");
  writeFileSync(path.join(place, "secrets"), secrets.text);
}

/**
 * Arguments of every pcapts that a page shows being run: in inline code, in each line of a
 * block of sh, behind the prompt in one of console, and in a unit's ExecStart.
 */
function listCommands(page: string): string[][] {
  const { spans, blocks } = splitPage(readPage(page));
  const lines = [...spans];
  for (const { language, text } of blocks) {
    for (const line of text.replaceAll(/\\\n\s*/g, "").split("\n")) {
      if (language === "sh") lines.push(line);
      else if (language === "console" && line.startsWith("$ ")) lines.push(line.slice(2));
      else if (language === "ini" && line.startsWith("ExecStart=")) lines.push(line.slice(10));
    }
  }
  return lines.flatMap((line) => commandsOf(line));
}

function commandsOf(line: string): string[][] {
  const words = line.replaceAll("\\|", "|").match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
  const commands: string[][] = [];
  words.forEach((word, at) => {
    if (!/^([\w./-]*\/)?pcapts(\.js)?$/.test(word)) return;
    const rest = words.slice(at + 1);
    const end = rest.findIndex((next) => SHELL_OPERATORS.has(next));
    const args = end === -1 ? rest : rest.slice(0, end);
    // Alone it is the name of the program; with an ellipsis it stands for any of its lines.
    if (
      args.length === 0 ||
      !args.some((argument) => argument.startsWith("-")) ||
      args.includes("…")
    ) {
      return;
    }
    commands.push(args.map((argument) => argument.replaceAll(/^["']|["']$/g, "")));
  });
  return commands;
}

interface PageParts {
  /** What stands between single backticks. */
  readonly spans: readonly string[];
  /** What stands between fences. */
  readonly blocks: readonly { readonly language: string; readonly text: string }[];
}

function splitPage(text: string): PageParts {
  const blocks: { language: string; text: string }[] = [];
  const prose = text.replaceAll(
    /^```(\w*)\n([^]*?)^```$/gm,
    (_match, language: string, block: string) => {
      blocks.push({ language, text: block });
      return "";
    },
  );
  const spans = [...prose.matchAll(/`([^`]+)`/g)].map(([, span]) => (span ?? "").trim());
  return { spans, blocks };
}

function listLinks(text: string): string[] {
  const prose = text.replaceAll(/^```[^]*?^```$/gm, "").replaceAll(/`[^`]+`/g, "code");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target ?? "")
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** Headings as links name them: lower case, dashes for blanks, no other punctuation. */
function listHeadings(text: string): string[] {
  return [...text.replaceAll(/^```[^]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    (heading ?? "")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

function readPage(page: string): string {
  return readFileSync(path.join(projectRoot, page), "utf8");
}
