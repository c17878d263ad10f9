import type { Kind } from "../kafka-wire/message-grammar.ts";
import type { Logger } from "../logger.ts";
import type { BufferPool } from "./buffer-pool.ts";
import type { DataDirectory } from "./data-directory.ts";
import type { BrokerFaults } from "./faults.ts";
import type { GroupCoordinator } from "./group-coordinator.ts";
import type { TopicStore } from "./topic-store.ts";
import type { TopicConfig } from "./topic-settings.ts";

/** The id of the one broker there is. */
export const NODE_ID = 1;

/** What a client is told of operations it may do: nobody asks for leave here. */
export const NO_AUTHORIZED_OPERATIONS = -2_147_483_648;

/** What requests are answered from. */
export interface BrokerState {
  readonly topics: TopicStore;
  readonly groups: GroupCoordinator;
  readonly data: DataDirectory;
  /** Settings of topics that do not set them. */
  readonly topicDefaults: TopicConfig;
  /** Of a topic that is created without saying how many. */
  readonly partitions: number;
  readonly fetchMemory: BufferPool;
  readonly faults: BrokerFaults;
  readonly logger: Logger;
}

/** One request on its way. */
export interface RequestContext {
  readonly broker: BrokerState;
  readonly version: number;
  readonly clientId: string;
  /** Address of the client as groups tell it: "/127.0.0.1". */
  readonly clientHost: string;
  /** Where this client reaches the broker. */
  readonly advertised: { readonly host: string; readonly port: number };
  /** Calls back when the connection is lost. @returns how to end that */
  onGone(gone: () => void): () => void;
  /** Runs when the answer has left, or never will. */
  afterAnswer(done: () => void): void;
}

/** One request of the protocol, as this broker answers it. */
export interface BrokerApi<Request, Response> {
  readonly name: string;
  readonly key: number;
  /** What is answered, both included. */
  readonly minVersion: number;
  readonly maxVersion: number;
  /** What clients are told, where that differs, with the reason. */
  readonly advertisedMinVersion?: number;
  /** First version with compact lengths and tagged fields. */
  readonly flexibleFrom: number;
  readonly request: Kind<Request>;
  readonly response: Kind<Response>;
  /**
   * @returns undefined for a request that is not answered
   * @throws BrokerError which {@link refuse} then tells
   */
  answer(
    request: Request,
    context: RequestContext,
  ): Response | undefined | Promise<Response | undefined>;
  /** The answer that says the same error of everything that was asked. */
  refuse(request: Request, errorCode: number, message: string): Response;
}

/** Infers the types of a request from its grammars. */
export function defineApi<Request, Response>(
  api: BrokerApi<Request, Response>,
): BrokerApi<Request, Response> {
  return api;
}
