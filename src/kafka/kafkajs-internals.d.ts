/**
 * The part of kafkajs 2.2.4 that `kafkajs-broker.ts` uses beneath its public API.
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
