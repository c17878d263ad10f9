/**
 * The part of kafkajs 2.2.4 that `kafkajs-modules.ts` uses beneath its public API.
 * ARCHITECTURE.md says why; test/kafka/kafkajs-internals.test.ts pins it.
 */
declare module "kafkajs/src/network/connectionPool.js" {
  import type { Socket } from "node:net";

  export interface Connection {
    clientId: string;
    socket: Socket | undefined;
    /** What arrived and is not a whole answer yet. */
    chunks: Buffer[];
    bytesBuffered: number;
    processData(data: Buffer): void;
    requestQueue: {
      pending: unknown[];
      scheduleCheckPendingRequests: () => void;
      push(request: {
        entry: {
          apiKey: number;
          apiName: string;
          apiVersion: number;
          correlationId: number;
          resolve: (answer: { payload: Buffer }) => void;
          reject: (error: Error) => void;
        };
        expectResponse: boolean;
        requestTimeout: number;
        sendRequest: () => void;
      }): void;
    };
    sasl: object | null;
    /** Milliseconds, of the last login. */
    sessionLifetime: { toNumber(): number };
    reauthenticationThreshold: number;
    isAuthenticated(): boolean;
    /** Logs in if that is due; calls at the same time share one login. */
    authenticate(): Promise<void>;
    /** kafkajs's own requests: ApiVersions, SaslHandshake, SaslAuthenticate, DescribeConfigs. */
    send(question: {
      request: { apiName: string };
      response: { parse(data: unknown): Promise<unknown> };
    }): Promise<unknown>;
    isConnected(): boolean;
    nextCorrelationId(): number;
    rejectRequests(error: Error): void;
    disconnect(): Promise<boolean>;
  }

  export default class ConnectionPool {
    constructor(options: Record<string, unknown>);
    host: string;
    port: number;
    pool: Connection[];
  }
}

declare module "kafkajs/src/broker/index.js" {
  import type ConnectionPool from "kafkajs/src/network/connectionPool.js";

  export default class Broker {
    constructor(options: {
      connectionPool: ConnectionPool;
      logger: unknown;
      nodeId?: number;
      authenticationTimeout?: number;
    });
    versions: Record<number, { minVersion: number; maxVersion: number } | undefined> | null;
    connectionPool: ConnectionPool;
    connect(): Promise<void>;
    describeConfigs(request: {
      resources: { type: number; name: string; configNames: string[] }[];
    }): Promise<{
      resources: { configEntries: { configName: string; configValue: string | null }[] }[];
    }>;
  }
}

declare module "kafkajs/src/loggers/index.js" {
  export const LEVELS: { NOTHING: 0; ERROR: 1; WARN: 2; INFO: 4; DEBUG: 5 };
  export function createLogger(options: {
    level: number;
    logCreator: (
      level: number,
    ) => (entry: { namespace: string; log: { message: string; [key: string]: unknown } }) => void;
  }): unknown;
}

declare module "kafkajs/src/network/socketFactory.js" {
  export default function createSocketFactory(): unknown;
}

declare module "kafkajs/src/broker/saslAuthenticator/plain.js" {
  import type { PasswordProvider } from "./sasl-password.ts";

  const provide: PasswordProvider;
  export default provide;
}

declare module "kafkajs/src/broker/saslAuthenticator/scram256.js" {
  import type { PasswordProvider } from "./sasl-password.ts";

  const provide: PasswordProvider;
  export default provide;
}

declare module "kafkajs/src/broker/saslAuthenticator/scram512.js" {
  import type { PasswordProvider } from "./sasl-password.ts";

  const provide: PasswordProvider;
  export default provide;
}
