/**
 * A Kafka with a listener for each way of proving who one is, and what stands
 * around it: Kerberos realm, certificates, token server.
 *
 * | listener       | protocol       | what is special                                         |
 * |----------------|----------------|---------------------------------------------------------|
 * | PLAINTEXT      | PLAINTEXT      | everybody is the super user ANONYMOUS                   |
 * | SSL            | SSL            | asks for no certificate                                 |
 * | CLIENT_CERT    | SSL            | demands a certificate; its common name is the principal |
 * | EXPIRED        | SSL            | the server's certificate is over                        |
 * | ELSEWHERE      | SSL            | the server's certificate is for another host            |
 * | SASL_PLAINTEXT | SASL_PLAINTEXT | all five mechanisms                                     |
 * | SASL_SSL       | SASL_SSL       | all five mechanisms                                     |
 * | REAUTH         | SASL_PLAINTEXT | sessions end after `REAUTH_MS`                          |
 * | SCRAM_ONLY     | SASL_PLAINTEXT | no mechanism but SCRAM-SHA-512                          |
 *
 * With Kafka 2.7.2, which knows no tokens and keeps SCRAM's users in ZooKeeper, the mechanisms are
 * GSSAPI and PLAIN, and SCRAM_ONLY has PLAIN.
 *
 * `packets` exists in every mechanism and may do everything with topics and
 * groups whose names begin with `pcap-`; `visitor` exists in every mechanism
 * and may do nothing. `sharedSecureCluster()` is the one that `scripts/test`
 * started for all tests.
 */
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import path from "node:path";
import kafkajs, { type AclOperationTypes } from "kafkajs";
import { makeServerDirectory } from "./server-process.ts";
import { addScramUsers } from "./scram-users.ts";
import {
  type BrokerOptions,
  type BrokerPlace,
  type KafkaVersion,
  type SecurityProtocol,
  startBroker,
  type TestBroker,
} from "./brokers.ts";
import {
  type CertificateFiles,
  Certificates,
  type ClientCertificateFiles,
} from "./certificates.ts";
import {
  type KerberosRealm,
  openKerberosRealm,
  type RunningKerberosRealm,
  startKerberosRealm,
} from "./kerberos-realm.ts";
import {
  keySetEndpoint,
  startTokenServer,
  TOKEN_AUDIENCE,
  type TokenIssuer,
  type TokenServer,
} from "./token-server.ts";

// A CommonJS module, whose enumerations Node does not find as named exports.
const { AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } = kafkajs;

/** Mechanisms by Kafka's names. */
export const MECHANISMS = [
  "GSSAPI",
  "PLAIN",
  "SCRAM-SHA-256",
  "SCRAM-SHA-512",
  "OAUTHBEARER",
] as const;

/** One of `MECHANISMS`. */
export type Mechanism = (typeof MECHANISMS)[number];

const LISTENERS = {
  SSL: "SSL",
  CLIENT_CERT: "SSL",
  EXPIRED: "SSL",
  ELSEWHERE: "SSL",
  SASL_PLAINTEXT: "SASL_PLAINTEXT",
  SASL_SSL: "SASL_SSL",
  REAUTH: "SASL_PLAINTEXT",
  SCRAM_ONLY: "SASL_PLAINTEXT",
} as const satisfies Record<string, SecurityProtocol>;

/** A listener of the table above. */
export type SecureListener = "PLAINTEXT" | keyof typeof LISTENERS;

/** Users of every mechanism: `packets` may do everything with `pcap-…`, `visitor` nothing. */
export type SecureUser = "packets" | "visitor";

/** How long a session on the listener REAUTH lasts (`connections.max.reauth.ms`). */
export const REAUTH_MS = 3000;

/** What tests know of a secure cluster; the same in every process. */
export interface SecureClusterFacts {
  readonly bootstrap: Readonly<Record<SecureListener, string>>;
  /** Passwords of PLAIN and SCRAM. */
  readonly passwords: Readonly<Record<SecureUser, string>>;
  /** Keytabs of Kerberos. */
  readonly keytabs: Readonly<Record<SecureUser, string>>;
  readonly clientCertificates: Readonly<Record<SecureUser, ClientCertificateFiles>>;
  /** Certificate of the authority that signed all of them, PEM. */
  readonly authority: string;
  /** Certificate of another authority, PEM. */
  readonly stranger: string;
  readonly tokens: TokenIssuer;
  readonly realmDirectory: string;
  /** What the broker logged, with every login at DEBUG. */
  readonly brokerLogFile: string;
}

/** A secure cluster, in the process that started it or in another. */
export interface SecureCluster extends SecureClusterFacts {
  readonly realm: KerberosRealm;
}

/** A secure cluster that this process runs. */
export interface RunningSecureCluster extends SecureCluster {
  readonly broker: TestBroker;
  /** The file with its facts, for `sharedSecureCluster()`. */
  readonly factsFile: string;
  /** Ends everything and deletes the directories. */
  remove(): Promise<void>;
}

/** Names the shared cluster's facts to the tests that `scripts/test` runs. */
export const SHARED_SECURE_CLUSTER_VARIABLE = "PCAPTS_TEST_SECURE_CLUSTER";

let shared: Promise<SecureCluster> | undefined;

/** The secure cluster of the whole suite; started here, and ended with this process, when nobody did so before. */
export function sharedSecureCluster(): Promise<SecureCluster> {
  const factsFile = process.env[SHARED_SECURE_CLUSTER_VARIABLE];
  shared ??= factsFile === undefined ? startUntilExit() : Promise.resolve(openCluster(factsFile));
  return shared;
}

async function startUntilExit(): Promise<SecureCluster> {
  const cluster = await startSecureCluster();
  process.on("exit", () => {
    fs.rmSync(path.dirname(cluster.factsFile), { recursive: true, force: true });
    fs.rmSync(cluster.realmDirectory, { recursive: true, force: true });
  });
  return cluster;
}

function openCluster(factsFile: string): SecureCluster {
  const facts = JSON.parse(fs.readFileSync(factsFile, "utf8")) as SecureClusterFacts;
  return { ...facts, realm: openKerberosRealm(facts.realmDirectory) };
}

/** Starts a cluster; resolves when all its listeners serve and its users exist. */
export async function startSecureCluster(
  version: KafkaVersion = "4.3.0",
): Promise<RunningSecureCluster> {
  const directory = makeServerDirectory("pcapts-secure-");
  const started: { remove(): Promise<void> }[] = [];
  const remove = async (): Promise<void> => {
    for (const part of started.toReversed()) await part.remove();
    fs.rmSync(directory, { recursive: true, force: true });
  };
  try {
    const realm = await startKerberosRealm();
    started.push(realm);
    const tokens = await startTokenServer();
    started.push({ remove: () => tokens.stop() });
    const certificates = new Certificates(path.join(directory, "certificates"));
    certificates.createAuthorities();
    const passwords = { packets: newPassword("packets"), visitor: newPassword("visitor") };
    const broker = await startBroker(
      secureBrokerOptions(version, { directory, realm, tokens, certificates, passwords }),
    );
    started.push(broker);
    if (version === "4.3.0") addScramUsers(broker.bootstrap, passwords);
    await allowPackets(broker.bootstrap);

    for (const user of ["packets", "visitor"]) realm.addPrincipal(user);
    const facts: SecureClusterFacts = {
      bootstrap: {
        ...(Object.fromEntries(
          Object.entries(broker.listenerPorts).map(([name, port]) => [name, `localhost:${port}`]),
        ) as Record<keyof typeof LISTENERS, string>),
        PLAINTEXT: broker.bootstrap,
      },
      passwords,
      keytabs: { packets: realm.keytab("packets"), visitor: realm.keytab("visitor") },
      clientCertificates: {
        packets: certificates.createClient("packets"),
        visitor: certificates.createClient("visitor"),
      },
      authority: certificates.authority,
      stranger: certificates.stranger,
      tokens: { url: tokens.url, clientSecret: tokens.clientSecret },
      realmDirectory: realm.directory,
      brokerLogFile: path.join(broker.directory, "kafka.log"),
    };
    const factsFile = path.join(directory, "facts.json");
    fs.writeFileSync(factsFile, JSON.stringify(facts));
    return { ...facts, realm, broker, factsFile, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** With the characters that careless parsers of properties, SCRAM and URLs trip over. */
function newPassword(user: SecureUser): string {
  return `${user}=a,b ${randomBytes(9).toString("hex")}%`;
}

interface Surroundings {
  readonly directory: string;
  readonly realm: RunningKerberosRealm;
  readonly tokens: TokenServer;
  readonly certificates: Certificates;
  readonly passwords: Readonly<Record<SecureUser, string>>;
}

function secureBrokerOptions(version: KafkaVersion, around: Surroundings): BrokerOptions {
  const { realm, tokens, certificates } = around;
  const zookeeper = version === "2.7.2";
  const server = certificates.createServer("localhost");
  const expired = certificates.createServer("expired", { days: -1 });
  const elsewhere = certificates.createServer("elsewhere", {
    commonName: "elsewhere.example",
    alternativeNames: "DNS:elsewhere.example",
  });
  const servicePrincipal = realm.addPrincipal("kafka/localhost");
  const mechanisms = new MechanismProperties({
    jaas: {
      GSSAPI:
        "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true " +
        // Takes tickets and never asks for one, so that Kafka starts no thread that renews them.
        `isInitiator=false keyTab="${realm.keytab("kafka/localhost")}" principal="${servicePrincipal}";`,
      PLAIN:
        "org.apache.kafka.common.security.plain.PlainLoginModule required " +
        `${Object.entries(around.passwords)
          .map(([user, password]) => `user_${user}="${password}"`)
          .join(" ")};`,
      "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
      "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
      OAUTHBEARER: "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
    },
    tokens,
  });
  const all: readonly Mechanism[] = zookeeper ? ["GSSAPI", "PLAIN"] : MECHANISMS;
  return {
    version,
    listeners: LISTENERS,
    jvmArguments: [
      // Where Kafka 2.7 reads the name of the realm; Java 17 hides it otherwise.
      ...(zookeeper ? ["--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED"] : []),
      `-Djava.security.krb5.conf=${realm.configFile}`,
      // They tell of each login, each further one, and each session that ended without one.
      "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.network.Selector=debug",
      "-Dorg.slf4j.simpleLogger.log.kafka.network.Processor=debug",
      `-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${keySetEndpoint(tokens)}`,
    ],
    properties: (_place: BrokerPlace) => ({
      "authorizer.class.name": zookeeper
        ? "kafka.security.authorizer.AclAuthorizer"
        : "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS",
      "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
      "ssl.truststore.type": "PEM",
      "ssl.truststore.location": certificates.authority,
      ...keystoreOf("", server),
      "listener.name.client_cert.ssl.client.auth": "required",
      ...keystoreOf("listener.name.expired.", expired),
      ...keystoreOf("listener.name.elsewhere.", elsewhere),
      ...mechanisms.of("sasl_plaintext", all),
      ...mechanisms.of("sasl_ssl", all),
      ...mechanisms.of("reauth", all),
      "listener.name.reauth.connections.max.reauth.ms": REAUTH_MS,
      ...mechanisms.of("scram_only", zookeeper ? ["PLAIN"] : ["SCRAM-SHA-512"]),
    }),
  };
}

/** As PKCS#12: Kafka 2.7 takes no PEM without a password. */
function keystoreOf(prefix: string, files: CertificateFiles): Record<string, string> {
  return {
    [`${prefix}ssl.keystore.type`]: "PKCS12",
    [`${prefix}ssl.keystore.location`]: files.pkcs12,
    [`${prefix}ssl.keystore.password`]: files.password,
    [`${prefix}ssl.key.password`]: files.password,
  };
}

/** The broker's lines for the mechanisms of a listener. */
class MechanismProperties {
  readonly #jaas: Readonly<Record<Mechanism, string>>;
  readonly #tokens: TokenIssuer;

  constructor(of: {
    readonly jaas: Readonly<Record<Mechanism, string>>;
    readonly tokens: TokenIssuer;
  }) {
    this.#jaas = of.jaas;
    this.#tokens = of.tokens;
  }

  of(listener: string, mechanisms: readonly Mechanism[]): Record<string, string> {
    const prefix = `listener.name.${listener}`;
    const properties: Record<string, string> = {
      [`${prefix}.sasl.enabled.mechanisms`]: mechanisms.join(","),
    };
    for (const mechanism of mechanisms) {
      properties[`${prefix}.${mechanism.toLowerCase()}.sasl.jaas.config`] = this.#jaas[mechanism];
    }
    if (mechanisms.includes("GSSAPI")) {
      properties[`${prefix}.sasl.kerberos.service.name`] = "kafka";
    }
    if (mechanisms.includes("OAUTHBEARER")) {
      const oauth = `${prefix}.oauthbearer.sasl`;
      properties[`${oauth}.server.callback.handler.class`] =
        "org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallbackHandler";
      properties[`${oauth}.oauthbearer.jwks.endpoint.url`] = keySetEndpoint(this.#tokens);
      properties[`${oauth}.oauthbearer.expected.issuer`] = this.#tokens.url;
      properties[`${oauth}.oauthbearer.expected.audience`] = TOKEN_AUDIENCE;
    }
    return properties;
  }
}

/** A right that a test gives. */
export interface Grant {
  readonly principal: string;
  readonly resource: "topic" | "group" | "cluster";
  /** Name of the resource; a cluster's is `kafka-cluster`. */
  readonly name: string;
  /** By kafkajs's names. */
  readonly operation: keyof typeof AclOperationTypes;
  /** Whether `name` is the begin of names. */
  readonly prefixed?: boolean;
}

const RESOURCE_TYPES = {
  topic: AclResourceTypes.TOPIC,
  group: AclResourceTypes.GROUP,
  cluster: AclResourceTypes.CLUSTER,
};

/** Gives rights, through a listener whose user may do so. */
export async function grant(bootstrap: string, ...grants: readonly Grant[]): Promise<void> {
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    await admin.createAcls({
      acl: grants.map((one) => ({
        resourceType: RESOURCE_TYPES[one.resource],
        resourceName: one.name,
        resourcePatternType:
          one.prefixed === true ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
        principal: `User:${one.principal}`,
        host: "*",
        operation: kafkajs.AclOperationTypes[one.operation],
        permissionType: AclPermissionTypes.ALLOW,
      })),
    });
  } finally {
    await admin.disconnect();
  }
}

/** Takes away all rights on a topic, through a listener whose user may do so. */
export async function revoke(bootstrap: string, topic: string): Promise<void> {
  const admin = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    await admin.deleteAcls({
      filters: [
        {
          resourceType: AclResourceTypes.TOPIC,
          resourceName: topic,
          resourcePatternType: ResourcePatternTypes.LITERAL,
          operation: kafkajs.AclOperationTypes.ANY,
          permissionType: AclPermissionTypes.ANY,
        },
      ],
    });
  } finally {
    await admin.disconnect();
  }
}

async function allowPackets(bootstrap: string): Promise<void> {
  const everything = {
    principal: "packets",
    name: "pcap-",
    operation: "ALL",
    prefixed: true,
  } as const;
  await grant(
    bootstrap,
    { ...everything, resource: "topic" },
    { ...everything, resource: "group" },
  );
}
