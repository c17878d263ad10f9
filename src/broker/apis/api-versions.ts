import {
  arrayOf,
  INT16,
  INT32,
  STRING,
  struct,
  type ValueOf,
} from "../../kafka-wire/message-grammar.ts";
import { type BrokerApi, defineApi } from "../broker-api.ts";

/*
 * ApiVersions, versions 0 to 4. A version that is not known is answered with
 * UNSUPPORTED_VERSION in version 0, from which every client goes on (KIP-511).
 */
const REQUEST = struct({
  clientSoftwareName: STRING.since(3),
  clientSoftwareVersion: STRING.since(3),
});

const RESPONSE = struct({
  errorCode: INT16,
  apiKeys: arrayOf(struct({ apiKey: INT16, minVersion: INT16, maxVersion: INT16 })),
  throttleTimeMs: INT32.since(1),
});

/** Key of the request that every client sends first. */
export const API_VERSIONS_KEY = 18;

/** A request and its versions. */
type SpokenVersions = Pick<
  BrokerApi<unknown, unknown>,
  "key" | "minVersion" | "maxVersion" | "advertisedMinVersion"
>;

/**
 * Tells what is spoken.
 *
 * @param others all the other requests
 */
export function createApiVersions(
  others: readonly SpokenVersions[],
): BrokerApi<ValueOf<typeof REQUEST>, ValueOf<typeof RESPONSE>> {
  const range = { minVersion: 0, maxVersion: 4 };
  const apiKeys = others.map(({ key, minVersion, maxVersion, advertisedMinVersion }) => ({
    apiKey: key,
    minVersion: advertisedMinVersion ?? minVersion,
    maxVersion,
  }));
  apiKeys.push({ apiKey: API_VERSIONS_KEY, ...range });
  apiKeys.sort((a, b) => a.apiKey - b.apiKey);
  return defineApi({
    name: "ApiVersions",
    key: API_VERSIONS_KEY,
    ...range,
    flexibleFrom: 3,
    request: REQUEST,
    response: RESPONSE,
    answer: () => ({ errorCode: 0, apiKeys, throttleTimeMs: 0 }),
    refuse: (_, errorCode) => ({ errorCode, apiKeys, throttleTimeMs: 0 }),
  });
}
