import {
  type Mechanism,
  MECHANISMS,
  type SecureCluster,
  type SecureListener,
  type SecureUser,
} from "../secure-cluster.ts";
import { tokenEndpoint } from "../token-server.ts";

/*
 * The librdkafka properties of each way in: pcapts, kcat and confluent-kafka take the same.
 */

/** Properties by their librdkafka names. */
export type Properties = Readonly<Record<string, string>>;

/** What proves who one is; no protocol, no listener. */
export function mechanismProperties(
  cluster: SecureCluster,
  mechanism: Mechanism,
  user: SecureUser = "packets",
): Properties {
  const named = { "sasl.mechanisms": mechanism };
  if (mechanism === "GSSAPI") {
    return {
      ...named,
      "sasl.kerberos.keytab": cluster.keytabs[user],
      "sasl.kerberos.principal": `${user}@${cluster.realm.name}`,
    };
  }
  if (mechanism === "OAUTHBEARER") {
    return {
      ...named,
      "sasl.oauthbearer.method": "oidc",
      "sasl.oauthbearer.client.id": user,
      "sasl.oauthbearer.client.secret": cluster.tokens.clientSecret,
      "sasl.oauthbearer.token.endpoint.url": tokenEndpoint(cluster.tokens),
    };
  }
  return { ...named, "sasl.username": user, "sasl.password": cluster.passwords[user] };
}

/** All properties of a user on one of the listeners SASL_PLAINTEXT, SASL_SSL, REAUTH, SCRAM_ONLY. */
export function saslProperties(
  cluster: SecureCluster,
  listener: SecureListener,
  mechanism: Mechanism,
  user: SecureUser = "packets",
): Properties {
  const encrypted = listener === "SASL_SSL";
  return {
    "bootstrap.servers": cluster.bootstrap[listener],
    "security.protocol": encrypted ? "SASL_SSL" : "SASL_PLAINTEXT",
    ...(encrypted && { "ssl.ca.location": cluster.authority }),
    ...mechanismProperties(cluster, mechanism, user),
  };
}

/** All properties of a TLS listener where one needs no name. */
export function sslProperties(cluster: SecureCluster, listener: SecureListener): Properties {
  return {
    "bootstrap.servers": cluster.bootstrap[listener],
    "security.protocol": "SSL",
    "ssl.ca.location": cluster.authority,
  };
}

/** How a client's certificate and key lie on disk. */
export const CERTIFICATE_FORMS = ["key", "encrypted key", "PKCS#12"] as const;

/** All properties of a user with a certificate. */
export function certificateProperties(
  cluster: SecureCluster,
  form: (typeof CERTIFICATE_FORMS)[number],
  user: SecureUser = "packets",
): Properties {
  const files = cluster.clientCertificates[user];
  const base = sslProperties(cluster, "CLIENT_CERT");
  if (form === "PKCS#12") {
    return {
      ...base,
      "ssl.keystore.location": files.pkcs12,
      "ssl.keystore.password": files.password,
    };
  }
  return {
    ...base,
    "ssl.certificate.location": files.certificate,
    "ssl.key.location": form === "key" ? files.key : files.encryptedKey,
    ...(form === "encrypted key" && { "ssl.key.password": files.password }),
  };
}

/** The properties as flags: `-X name=value` for each. */
export function flags(properties: Properties): string[] {
  return Object.entries(properties).flatMap(([name, value]) => ["-X", `${name}=${value}`]);
}

/** A way into the cluster: where, and as who. */
export interface WayIn {
  /** `SASL_SSL with GSSAPI` and so on. */
  readonly name: string;
  readonly properties: Properties;
  /** Which of librdkafka's programs can go it. */
  readonly otherClient: "kcat" | "confluent-kafka";
}

/** Every protocol with every mechanism. */
export function waysIn(cluster: SecureCluster): WayIn[] {
  const sasl = (["SASL_PLAINTEXT", "SASL_SSL"] as const).flatMap((listener) =>
    MECHANISMS.map((mechanism) => ({
      name: `${listener} with ${mechanism}`,
      properties: saslProperties(cluster, listener, mechanism),
      otherClient: /SCRAM|OAUTH/.test(mechanism) ? ("confluent-kafka" as const) : ("kcat" as const),
    })),
  );
  const certificates = CERTIFICATE_FORMS.map((form) => ({
    name: `SSL with a certificate (${form})`,
    properties: certificateProperties(cluster, form),
    otherClient: "kcat" as const,
  }));
  return [
    { name: "SSL", properties: sslProperties(cluster, "SSL"), otherClient: "kcat" },
    ...certificates,
    ...sasl,
  ];
}
