import { OPTION_TABLE, type OptionRow } from "./option-table.ts";
import { PROPERTY_BY_NAME } from "./kafka-properties.ts";
import type { ValueKind } from "./value-kind.ts";

/** How Wireshark asks for a setting. */
export interface ExtcapField {
  readonly display: string;
  readonly type: "string" | "password" | "fileselect" | "selector";
  /** Tab of the dialog. */
  readonly group: string;
  /** Shown while nothing is written there. */
  readonly placeholder?: string;
  /** Caption of the button that loads the choices. */
  readonly reload?: string;
  /** Only the interface that is no topic asks for it. */
  readonly isForAnyTopic?: true;
  /** In the tool bar, too. */
  readonly isInToolbar?: true;
}

/** One flag of `pcapts extcap`. */
export interface ExtcapRow extends OptionRow {
  /** `wireshark`: what Wireshark says of itself; `person`: what is to be done; `setting`: the rest. */
  readonly role: "person" | "wireshark" | "setting";
  /** Wireshark asks for it. */
  readonly field?: ExtcapField;
  /** The librdkafka property that it stands for. */
  readonly property?: string;
}

/** The choice of a selector that leaves everything as it is without it. */
export const AS_CONFIGURED = "configured";

/**
 * Every flag of `pcapts extcap`, one row each: parser, help, docs and completion are made from it, and
 * so are the fields of Wireshark's dialog and its tool bar.
 */
export const EXTCAP_OPTION_TABLE: readonly ExtcapRow[] = [
  {
    long: "install",
    role: "person",
    mode: "extcap",
    value: { type: "switch" },
    help: "put the launcher where Wireshark looks; the settings of this line are its defaults",
  },
  {
    long: "uninstall",
    role: "person",
    mode: "extcap",
    value: { type: "switch" },
    help: "take the launcher away again",
  },
  {
    long: "folder",
    role: "person",
    mode: "extcap",
    value: { type: "text" },
    valueName: "DIR",
    completes: "file",
    help: "with --install and --uninstall: another folder than the personal one",
  },

  setting("kafka-broker", {
    display: "Broker",
    type: "string",
    group: "Kafka",
    isInToolbar: true,
  }),
  {
    long: "topics",
    role: "setting",
    mode: "extcap",
    value: { type: "text" },
    valueName: "NAMES",
    default: "*",
    help: "topics that are listed, separated by commas; * in a name stands for anything",
  },
  {
    long: "list-timeout",
    role: "setting",
    mode: "extcap",
    value: { type: "decimal", min: 0, max: 60, unit: "seconds" },
    valueName: "S",
    default: "0.6",
    help: "seconds that a broker has to name its topics; without them any topic can be asked for",
  },
  {
    ...setting("kafka-topic", {
      display: "Topic",
      type: "selector",
      group: "Capture",
      reload: "Load topics",
      isForAnyTopic: true,
    }),
    help: "topic of the interface pcapts, which is none itself",
  },
  {
    long: "topic-name",
    role: "setting",
    mode: "extcap",
    value: { type: "topic" },
    valueName: "NAME",
    help: "topic, whatever else names one: for one that the list does not have",
    field: {
      display: "Topic by name",
      type: "string",
      group: "Capture",
      isForAnyTopic: true,
      isInToolbar: true,
    },
  },
  setting("kafka-offset", {
    display: "From",
    type: "string",
    group: "Capture",
    isInToolbar: true,
  }),
  {
    ...setting("filter", {
      display: "Filter",
      type: "string",
      group: "Capture",
      placeholder: "tcp port 80",
      isInToolbar: true,
    }),
    help: "only frames that match a libpcap filter, besides the capture filter of Wireshark itself",
  },
  setting("from", { display: "Captured from", type: "string", group: "Capture" }),
  setting("to", { display: "Captured before", type: "string", group: "Capture" }),
  setting("kafka-property"),
  {
    long: "properties",
    role: "setting",
    mode: "extcap",
    value: { type: "text" },
    valueName: "KEY=VALUE",
    help: "librdkafka properties with blanks between them, such as group.id=desk",
    field: {
      display: "Properties",
      type: "string",
      group: "Kafka",
      placeholder: "group.id=desk",
      isInToolbar: true,
    },
  },
  {
    ...setting("config", { display: "Property file", type: "fileselect", group: "Kafka" }),
    help: "file of librdkafka properties, a KEY=VALUE on each line; other settings win over it",
  },
  choiceOf("security.protocol", "Protocol"),
  choiceOf("sasl.mechanism", "Mechanism"),
  {
    long: "sasl-username",
    role: "setting",
    mode: "extcap",
    value: { type: "text" },
    valueName: "NAME",
    property: "sasl.username",
    help: "user, for PLAIN and SCRAM",
    field: { display: "User", type: "string", group: "Security" },
  },
  {
    long: "sasl-password",
    role: "setting",
    mode: "extcap",
    value: { type: "text" },
    valueName: "TEXT",
    property: "sasl.password",
    help: "password; Wireshark passes it on the command line, a property file keeps it to itself",
    field: { display: "Password", type: "password", group: "Security" },
  },
  {
    long: "ssl-ca-location",
    role: "setting",
    mode: "extcap",
    value: { type: "text" },
    valueName: "FILE",
    completes: "file",
    property: "ssl.ca.location",
    help: "certificates of the authorities that are trusted, for TLS",
    field: { display: "Authorities", type: "fileselect", group: "Security" },
  },
  { ...setting("connect-timeout"), default: "10" },
  {
    long: "log-level",
    role: "setting",
    mode: "extcap",
    value: { type: "choice", choices: ["DEBUG", "INFO", "WARN", "ERROR"] },
    valueName: "L",
    default: "INFO",
    help: "least level of messages in the log file and the log of the tool bar",
    field: { display: "Log level", type: "selector", group: "Log" },
  },
  {
    long: "log-file",
    role: "setting",
    mode: "extcap",
    value: { type: "text" },
    valueName: "FILE",
    completes: "file",
    help: "file that messages are appended to; Wireshark itself shows errors alone",
    field: { display: "Log file", type: "fileselect", group: "Log" },
  },

  ofWireshark("extcap-interfaces", "list the topics as interfaces"),
  ofWireshark("extcap-version", "version of the Wireshark that asks", "VERSION"),
  ofWireshark("extcap-interface", "interface that is meant: pcapts:TOPIC, or pcapts", "IFACE"),
  ofWireshark("extcap-dlts", "list the link types of an interface"),
  ofWireshark("extcap-config", "list the settings of an interface"),
  ofWireshark("extcap-reload-option", "list the choices of one setting", "OPTION"),
  ofWireshark("capture", "write the frames of an interface to --fifo"),
  ofWireshark("fifo", "named pipe that the frames are written to", "FILE"),
  ofWireshark("extcap-capture-filter", "libpcap filter; without --capture it is checked", "EXPR"),
  ofWireshark("extcap-control-in", "named pipe for what is changed in the tool bar", "FILE"),
  ofWireshark("extcap-control-out", "named pipe for what the tool bar shows", "FILE"),
  {
    long: "help",
    short: "-h",
    role: "person",
    mode: "extcap",
    value: { type: "switch" },
    help: "print this and exit",
  },
];

/** A flag that a consumer has, too, and that means the same here. */
function setting(long: string, field?: ExtcapField): ExtcapRow {
  const row = (OPTION_TABLE as readonly OptionRow[]).find((each) => each.long === long)!;
  return { ...row, mode: "extcap", role: "setting", ...(field && { field }) };
}

/** A property with few values. */
function choiceOf(property: string, display: string): ExtcapRow {
  const { value, help } = PROPERTY_BY_NAME.get(property)!;
  const choices = value.type === "choice" ? value.choices : [];
  return {
    long: property.replace(".", "-"),
    role: "setting",
    mode: "extcap",
    value: { type: "choice", choices: [AS_CONFIGURED, ...choices] },
    valueName: "P",
    default: AS_CONFIGURED,
    property,
    help,
    field: { display, type: "selector", group: "Security" },
  };
}

function ofWireshark(long: string, help: string, valueName?: string): ExtcapRow {
  const value: ValueKind = valueName === undefined ? { type: "switch" } : { type: "text" };
  return {
    long,
    role: "wireshark",
    mode: "extcap",
    value,
    ...(valueName !== undefined && { valueName }),
    help,
  };
}
