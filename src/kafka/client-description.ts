import { formatAddress } from "./broker-connection.ts";
import type { KafkaClientOptions } from "./client-options.ts";

/**
 * How a run reaches Kafka, in librdkafka's words and without secrets.
 *
 * @returns `{"bootstrap.servers":"broker1:9092","client.id":"pcapts"}`
 */
export function describeClient({ brokers, clientId, security }: KafkaClientOptions): string {
  const { sasl } = security ?? {};
  return JSON.stringify({
    "bootstrap.servers": brokers.map(formatAddress).join(","),
    "client.id": clientId,
    ...(security !== undefined &&
      security.protocol !== "plaintext" && { "security.protocol": security.protocol }),
    ...(sasl !== undefined && { "sasl.mechanism": sasl.mechanism }),
    ...(sasl !== undefined && "username" in sasl && { "sasl.username": sasl.username }),
    ...(sasl?.mechanism === "GSSAPI" && {
      "sasl.kerberos.service.name": sasl.serviceName,
      ...(sasl.principal !== undefined && { "sasl.kerberos.principal": sasl.principal }),
      ...(sasl.keytab !== undefined && { "sasl.kerberos.keytab": sasl.keytab }),
    }),
  });
}
