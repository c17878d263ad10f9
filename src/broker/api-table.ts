import { createApiVersions } from "./apis/api-versions.ts";
import { CREATE_TOPICS } from "./apis/create-topics.ts";
import { DELETE_GROUPS } from "./apis/delete-groups.ts";
import { DELETE_TOPICS } from "./apis/delete-topics.ts";
import { DESCRIBE_CONFIGS } from "./apis/describe-configs.ts";
import { DESCRIBE_GROUPS } from "./apis/describe-groups.ts";
import { FETCH } from "./apis/fetch.ts";
import { FIND_COORDINATOR } from "./apis/find-coordinator.ts";
import { HEARTBEAT } from "./apis/heartbeat.ts";
import { INIT_PRODUCER_ID } from "./apis/init-producer-id.ts";
import { JOIN_GROUP } from "./apis/join-group.ts";
import { LEAVE_GROUP } from "./apis/leave-group.ts";
import { LIST_GROUPS } from "./apis/list-groups.ts";
import { LIST_OFFSETS } from "./apis/list-offsets.ts";
import { METADATA } from "./apis/metadata.ts";
import { OFFSET_COMMIT } from "./apis/offset-commit.ts";
import { OFFSET_FETCH } from "./apis/offset-fetch.ts";
import { OFFSET_FOR_LEADER_EPOCH } from "./apis/offset-for-leader-epoch.ts";
import { PRODUCE } from "./apis/produce.ts";
import { SYNC_GROUP } from "./apis/sync-group.ts";
import type { BrokerApi } from "./broker-api.ts";

const OTHERS = [
  PRODUCE,
  FETCH,
  LIST_OFFSETS,
  METADATA,
  OFFSET_COMMIT,
  OFFSET_FETCH,
  FIND_COORDINATOR,
  JOIN_GROUP,
  HEARTBEAT,
  LEAVE_GROUP,
  SYNC_GROUP,
  DESCRIBE_GROUPS,
  LIST_GROUPS,
  CREATE_TOPICS,
  DELETE_TOPICS,
  INIT_PRODUCER_ID,
  OFFSET_FOR_LEADER_EPOCH,
  DESCRIBE_CONFIGS,
  DELETE_GROUPS,
];

/** Every request that is answered, by its key. */
export const API_BY_KEY: ReadonlyMap<number, BrokerApi<unknown, unknown>> = new Map(
  [...OTHERS, createApiVersions(OTHERS)].map((api): [number, BrokerApi<unknown, unknown>] => [
    api.key,
    api,
  ]),
);
