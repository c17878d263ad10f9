import type Broker from "kafkajs/src/broker/index.js";
import type providePassword from "kafkajs/src/broker/saslAuthenticator/plain.js";
import type { createLogger, LEVELS } from "kafkajs/src/loggers/index.js";
import type ConnectionPool from "kafkajs/src/network/connectionPool.js";
import type createSocketFactory from "kafkajs/src/network/socketFactory.js";
import { requirePackage } from "../require-package.ts";

/** What is used beneath kafkajs's public API, as `kafkajs-internals.d.ts` describes it. */
export const kafkajs = {
  Broker: requirePackage("kafkajs/src/broker/index.js") as typeof Broker,
  ConnectionPool: requirePackage("kafkajs/src/network/connectionPool.js") as typeof ConnectionPool,
  createSocketFactory: requirePackage(
    "kafkajs/src/network/socketFactory.js",
  ) as typeof createSocketFactory,
  ...(requirePackage("kafkajs/src/loggers/index.js") as {
    createLogger: typeof createLogger;
    LEVELS: typeof LEVELS;
  }),
  passwordProviders: {
    PLAIN: requirePackage("kafkajs/src/broker/saslAuthenticator/plain.js"),
    "SCRAM-SHA-256": requirePackage("kafkajs/src/broker/saslAuthenticator/scram256.js"),
    "SCRAM-SHA-512": requirePackage("kafkajs/src/broker/saslAuthenticator/scram512.js"),
  } as Record<"PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512", typeof providePassword>,
};
