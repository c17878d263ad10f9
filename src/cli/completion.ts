import { AUDIT_OPTION_TABLE } from "../config/audit-option-table.ts";
import { BROKER_OPTION_TABLE } from "../config/broker-option-table.ts";
import { EXTCAP_OPTION_TABLE } from "../config/extcap-option-table.ts";
import { PROPERTY_TABLE, type PropertyRow } from "../config/kafka-properties.ts";
import { OPTION_TABLE, type OptionRow } from "../config/option-table.ts";
import type { ValueKind } from "../config/value-kind.ts";

/*
 * Completion scripts, made from the option table. Starting pcapts for each
 * press of the tab key would be slow, so the scripts hold everything they
 * offer; only interfaces are read from the system.
 */

/** Shells that there is a script for. */
export type Shell = "bash" | "zsh" | "fish";

const ROWS: readonly OptionRow[] = OPTION_TABLE.filter((row: OptionRow) => !row.comesLater);
const PROPERTIES: readonly PropertyRow[] = PROPERTY_TABLE;
/** What may stand instead of flags, with flags of its own. */
const COMMANDS: readonly {
  readonly name: string;
  readonly rows: readonly OptionRow[];
  readonly help: string;
}[] = [
  { name: "audit", rows: AUDIT_OPTION_TABLE, help: "read the ledger of a capture back" },
  { name: "broker", rows: BROKER_OPTION_TABLE, help: "a Kafka broker of one node" },
  {
    name: "extcap",
    // A person does not say what Wireshark says.
    rows: EXTCAP_OPTION_TABLE.filter(({ role }) => role !== "wireshark"),
    help: "topics as interfaces of Wireshark",
  },
];
const INTERFACES = "/sys/class/net";

/**
 * The script that makes a shell complete the command line of pcapts.
 *
 * @param shell whose language it is in
 * @returns whole lines
 */
export function formatCompletion(shell: Shell): string {
  switch (shell) {
    case "bash":
      return formatBash();
    case "zsh":
      return formatZsh();
    case "fish":
      return formatFish();
  }
}

/** Words that a value may be, as far as they can be told. */
function listWords(kind: ValueKind): readonly string[] {
  switch (kind.type) {
    case "boolean":
      return ["true", "false"];
    case "choice":
    case "list":
      return kind.choices;
    case "position":
      return ["begin", "end", "stored"];
    default:
      return [];
  }
}

function listNames(row: OptionRow): string[] {
  return [...(row.short === undefined ? [] : [row.short]), `--${row.long}`];
}

function listPropertyNames(): string[] {
  return PROPERTIES.flatMap((row) => [row.name, ...(row.aliases ?? [])]);
}

function formatBashCases(rows: readonly OptionRow[]): string {
  const takingValue = rows.filter((row) => row.value.type !== "switch");
  const cases = takingValue.map((row) => {
    const words = listWords(row.value).join(" ");
    const action =
      row.value.type === "property"
        ? "_pcapts_property"
        : row.completes === "file"
          ? 'compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur")'
          : row.completes === "interface"
            ? `COMPREPLY=($(compgen -W "$(ls ${INTERFACES} 2> /dev/null)" -- "$cur"))`
            : words === ""
              ? "COMPREPLY=()"
              : `COMPREPLY=($(compgen -W "${words}" -- "$cur"))`;
    return `    ${listNames(row).join(" | ")}) ${action} ;;\n`;
  });
  return cases.join("");
}

function formatBash(): string {
  const commands = COMMANDS.map(({ name }) => name).join(" ");
  const values = PROPERTIES.flatMap((row) => {
    const words = listWords(row.value).join(" ");
    if (words === "") return [];
    return [`    ${[row.name, ...(row.aliases ?? [])].join(" | ")}) words="${words}" ;;\n`];
  });
  return `# Completion of pcapts for bash: source <(pcapts --completion bash)

_pcapts_property() {
  local words=""
  if [[ $cur != *=* ]]; then
    compopt -o nospace
    COMPREPLY=($(compgen -S = -W "${listPropertyNames().join(" ")}" -- "$cur"))
    return
  fi
  case "\${cur%%=*}" in
${values.join("")}  esac
  COMPREPLY=($(compgen -W "$words" -- "\${cur#*=}"))
}

_pcapts_value() {
  case "$1" in
${formatBashCases(ROWS)}    *) return 1 ;;
  esac
}
${COMMANDS.map(
  ({ name, rows }) => `
_pcapts_${name}() {
  case "$1" in
${formatBashCases(rows)}    *) return 1 ;;
  esac
}
`,
).join("")}
_pcapts() {
  local line cur prev
  COMPREPLY=()
  # bash splits words at "="; here they are whole again.
  line="\${COMP_LINE:0:COMP_POINT}"
  cur="\${line##*[[:space:]]}"
  prev="\${line%"$cur"}"
  prev="\${prev%"\${prev##*[![:space:]]}"}"
  prev="\${prev##*[[:space:]]}"
  if [[ $cur == --*=* ]]; then
    prev="\${cur%%=*}"
    cur="\${cur#*=}"
  fi
${COMMANDS.map(
  ({ name, rows }) => `  if [[ $line =~ ^[^[:space:]]+[[:space:]]+${name}[[:space:]] ]]; then
    _pcapts_${name} "$prev" && return
    [[ $cur == -* ]] && COMPREPLY=($(compgen -W "${rows.flatMap(listNames).join(" ")}" -- "$cur"))
    return
  fi
`,
).join("")}  if [[ $line =~ ^[^[:space:]]+[[:space:]]+[a-z]*$ ]]; then
    COMPREPLY=($(compgen -W "${commands}" -- "$cur"))
    return
  fi
  _pcapts_value "$prev" && return
  if [[ $cur == -X* ]]; then
    cur="\${cur#-X}"
    _pcapts_property
    [[ $cur == *=* ]] || COMPREPLY=("\${COMPREPLY[@]/#/-X}")
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "${ROWS.flatMap(listNames).join(" ")}" -- "$cur"))
  fi
}

complete -F _pcapts pcapts
`;
}

/** In single quotes, for any of the three. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function formatZsh(): string {
  const escape = (text: string): string => text.replace(/[[\]:\\]/g, String.raw`\$&`);
  const specsOf = (rows: readonly OptionRow[]): string[] =>
    rows.flatMap((row) => {
      const names = listNames(row);
      const many = row.repeat === "all" ? "*" : "";
      const exclusive = many === "" ? `(${names.join(" ")})` : "";
      return names.map((name) => {
        // A value follows by itself, attached to a short name, or behind "=" of a long one.
        const takes = row.value.type === "switch" ? "" : name.startsWith("--") ? "=" : "+";
        const value = takes === "" ? "" : `:${escape(row.valueName ?? "value")}:${zshAction(row)}`;
        return `    ${quote(`${exclusive}${many}${name}${takes}[${escape(row.help)}]${value}`)}`;
      });
    });
  const specs = specsOf(ROWS);
  const properties = PROPERTIES.flatMap((row) => {
    const words = listWords(row.value).join(" ");
    const action = words === "" ? " " : `(${words})`;
    return [row.name, ...(row.aliases ?? [])].map(
      (name) => `    ${quote(`${name}[${escape(row.help)}]:value:${action}`)}`,
    );
  });
  return `#compdef pcapts
# Completion of pcapts for zsh: source <(pcapts --completion zsh), or as _pcapts in $fpath

_pcapts_properties() {
  local -a properties
  properties=(
${properties.join("\n")}
  )
  _values -S = 'librdkafka property' $properties
}

_pcapts_interfaces() {
  local -a interfaces
  interfaces=(${INTERFACES}/*(N:t))
  compadd -a interfaces
}

_pcapts() {
  local -a options
${COMMANDS.map(
  ({ name, rows }) => `  if [[ $words[2] == ${name} ]]; then
    options=(
${specsOf(rows).join("\n")}
    )
    shift words
    (( CURRENT-- ))
    _arguments $options
    return
  fi
`,
).join("")}  options=(
${specs.join("\n")}
  )
  _arguments $options
}

if [[ $funcstack[1] == _pcapts ]]; then
  _pcapts "$@"
else
  compdef _pcapts pcapts
fi
`;
}

function zshAction(row: OptionRow): string {
  if (row.value.type === "property") return "_pcapts_properties";
  if (row.completes === "file") return "_files";
  if (row.completes === "interface") return "_pcapts_interfaces";
  const words = listWords(row.value).join(" ");
  return words === "" ? " " : `(${words})`;
}

function formatFish(): string {
  const lineOf = (row: OptionRow, condition: readonly string[]): string => {
    const parts = ["complete -c pcapts", ...condition, `-l ${row.long}`];
    // Under -s fish would group them, and take -pp for -p twice.
    if (row.short !== undefined) parts.push(`-o ${row.short.slice(1)}`);
    if (row.value.type !== "switch") parts.push(fishArguments(row));
    return `${[...parts, `-d ${fishQuote(row.help)}`].join(" ")}\n`;
  };
  const lines = ROWS.map((row) => lineOf(row, []));
  const ofCommands = COMMANDS.flatMap(({ name, rows, help }) => [
    `complete -c pcapts -n __fish_use_subcommand -a ${name} -d ${fishQuote(help)}\n`,
    ...rows.map((row) => lineOf(row, [`-n '__fish_seen_subcommand_from ${name}'`])),
  ]);
  const properties = PROPERTIES.flatMap((row) =>
    [row.name, ...(row.aliases ?? [])].flatMap((name) => {
      const words = listWords(row.value);
      return words.length === 0 ? [`${name}=`] : words.map((word) => `${name}=${word}`);
    }),
  );
  return `# Completion of pcapts for fish: pcapts --completion fish | source

function __pcapts_properties
    printf '%s\\n' ${properties.join(" ")}
end

complete -c pcapts -f
${lines.join("")}${ofCommands.join("")}`;
}

function fishArguments(row: OptionRow): string {
  if (row.completes === "file") return "-r -F";
  if (row.value.type === "property") return "-x -a '(__pcapts_properties)'";
  if (row.completes === "interface") {
    return `-x -a '(ls ${INTERFACES} 2> /dev/null)'`;
  }
  const words = listWords(row.value).join(" ");
  return words === "" ? "-x" : `-x -a ${fishQuote(words)}`;
}

/** fish knows the backslash inside single quotes. */
function fishQuote(text: string): string {
  return `'${text.replace(/['\\]/g, String.raw`\$&`)}'`;
}
