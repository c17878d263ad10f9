import { createSecureContext } from "node:tls";
import { PcaptsError } from "../errors.ts";
import { isLoopbackHost } from "../packet/loopback-host.ts";
import { parseListenAddress, PCAP_OVER_IP_PORT } from "./broker-address.ts";
import { readAuthorities, readSecurityFile } from "./security-files.ts";

/** Where to listen, and how what is sent there is protected. */
export interface ListenSettings {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Undefined: nothing is protected. */
  readonly tls: ListenTls | undefined;
}

/** The TLS side of a listener, PEM texts. */
export interface ListenTls {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Authorities that have to have signed the other side's certificate; undefined asks for none. */
  readonly ca: readonly string[] | undefined;
}

/** What {@link readListenSettings} reads beside the address. */
export interface ListenValues {
  readonly "insecure-listen": boolean;
  readonly "listen-tls-cert": string | undefined;
  readonly "listen-tls-key": string | undefined;
  readonly "listen-tls-ca": string | undefined;
}

/** What each flag risks where others reach the address. */
const RISKS = {
  "--listen": "may read every frame",
  "--read-listen": "may send what it likes",
} as const;

/**
 * Reads where to listen: on loopback, unless TLS or `--insecure-listen`.
 *
 * @param text the value of `flag`: an address with a port; for `--read-listen` a port alone is one of
 *   127.0.0.1
 * @param flag for messages
 * @param values flags
 * @throws PcaptsError USAGE: no such address, others would reach it, a file that cannot be used
 */
export function readListenSettings(
  text: string,
  flag: keyof typeof RISKS,
  values: ListenValues,
): ListenSettings {
  const isPort = flag === "--read-listen" && /^\d+$/.test(text);
  const { host, port } = parseListenAddress(
    isPort ? `127.0.0.1:${text}` : text,
    flag,
    PCAP_OVER_IP_PORT,
  );
  const tls = readTls(values);
  if (tls === undefined && !values["insecure-listen"] && !isLoopbackHost(host)) {
    throw new PcaptsError(
      "USAGE",
      `${flag} does not take "${host}": whoever reaches it ${RISKS[flag]}; ` +
        "--listen-tls-cert and --listen-tls-key protect them, --insecure-listen allows it all the same",
    );
  }
  return { host, port, tls };
}

function readTls(values: ListenValues): ListenTls | undefined {
  const { "listen-tls-cert": cert, "listen-tls-key": key, "listen-tls-ca": ca } = values;
  if (cert === undefined || key === undefined) return undefined;
  const tls = {
    cert: readSecurityFile(cert, "--listen-tls-cert"),
    key: readSecurityFile(key, "--listen-tls-key"),
    ca: ca === undefined ? undefined : readAuthorities(ca, "--listen-tls-ca"),
  };
  try {
    createSecureContext({ cert: tls.cert, key: tls.key });
  } catch (error) {
    throw new PcaptsError(
      "USAGE",
      `--listen-tls-cert "${cert}" and --listen-tls-key "${key}" cannot be used: ${reasonOf(error)}`,
      { cause: error },
    );
  }
  return tls;
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  if (/key values mismatch/i.test(text)) return "the key does not belong to the certificate";
  if (/no start line|PEM lib|unsupported/i.test(text)) return "PEM texts are expected";
  if (/bad decrypt|interrupted or cancelled|bad password/i.test(text)) {
    return "the key is encrypted; openssl pkey -in OLD -out NEW takes the password off";
  }
  return text;
}
