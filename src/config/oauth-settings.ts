import { PcaptsError } from "../errors.ts";
import type { OauthOptions, TokenOptions } from "../kafka/security-options.ts";
import { needed, type SecuritySettings, subjectOf } from "./security-values.ts";
import { settleAuthorities } from "./tls-settings.ts";

/** As librdkafka has it. */
const DEFAULT_LIFE_SECONDS = 3600;

const EXTENSION = "extension_";

/**
 * Where the tokens of OAUTHBEARER come from.
 *
 * @throws PcaptsError USAGE: nowhere, or not readable
 */
export function settleOauth(settings: SecuritySettings): OauthOptions {
  const { values } = settings;
  const token = values["sasl.oauthbearer.token"];
  let extensions = readExtensions(settings);
  let options: TokenOptions;
  if (values["sasl.oauthbearer.method"] === "oidc") {
    options = readEndpoint(settings);
  } else if (token !== undefined) {
    options = { kind: "static", token };
  } else if (values["enable.sasl.oauthbearer.unsecure.jwt"]) {
    const unsigned = readUnsigned(settings);
    options = unsigned.token;
    extensions = { ...extensions, ...unsigned.extensions };
  } else {
    throw new PcaptsError(
      "USAGE",
      "sasl.mechanism=OAUTHBEARER needs a token: say sasl.oauthbearer.method=oidc and where its " +
        "endpoint is, or give sasl.oauthbearer.token in the file of --config or as PCAPTS_X_SASL_OAUTHBEARER_TOKEN",
    );
  }
  return { mechanism: "OAUTHBEARER", token: options, extensions };
}

function readEndpoint(settings: SecuritySettings): TokenOptions {
  const because = "sasl.oauthbearer.method=oidc";
  const url = needed(settings, "sasl.oauthbearer.token.endpoint.url", because);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    const subject = subjectOf(settings, "sasl.oauthbearer.token.endpoint.url");
    throw new PcaptsError(
      "USAGE",
      `${subject} expects an address that begins with https:// or http://, not "${url}"`,
    );
  }
  return {
    kind: "endpoint",
    url,
    clientId: needed(settings, "sasl.oauthbearer.client.id", because),
    clientSecret: needed(settings, "sasl.oauthbearer.client.secret", because),
    scope: settings.values["sasl.oauthbearer.scope"],
    ca: settleAuthorities(settings, "https.ca.location", "https.ca.pem"),
  };
}

function readExtensions(settings: SecuritySettings): Record<string, string> {
  const text = settings.values["sasl.oauthbearer.extensions"];
  if (text === undefined) return {};
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const equals = pair.indexOf("=");
      if (equals < 1) {
        const subject = subjectOf(settings, "sasl.oauthbearer.extensions");
        throw new PcaptsError(
          "USAGE",
          `${subject} expects KEY=VALUE, separated by commas, not "${pair}"`,
        );
      }
      return [pair.slice(0, equals).trim(), pair.slice(equals + 1).trim()];
    }),
  );
}

/** librdkafka's words: principalClaimName, principal, scopeClaimName, scope, lifeSeconds, extension_NAME. */
function readUnsigned(settings: SecuritySettings): {
  token: TokenOptions;
  extensions: Record<string, string>;
} {
  const subject = subjectOf(settings, "sasl.oauthbearer.config");
  const config = needed(
    settings,
    "sasl.oauthbearer.config",
    "enable.sasl.oauthbearer.unsecure.jwt",
  );
  const words = new Map<string, string>();
  const extensions: Record<string, string> = {};
  for (const pair of config.split(/\s+/).filter((text) => text !== "")) {
    const [key = "", ...rest] = pair.split("=");
    if (key.startsWith(EXTENSION)) extensions[key.slice(EXTENSION.length)] = rest.join("=");
    else words.set(key, rest.join("="));
  }
  const known = ["principalClaimName", "principal", "scopeClaimName", "scope", "lifeSeconds"];
  for (const key of words.keys()) {
    if (known.includes(key)) continue;
    throw new PcaptsError(
      "USAGE",
      `${subject}: "${key}" is none of ${known.join(", ")}, extension_NAME`,
    );
  }
  const principal = words.get("principal");
  const lifeSeconds = Number(words.get("lifeSeconds") ?? DEFAULT_LIFE_SECONDS);
  if (principal === undefined || principal === "") {
    throw new PcaptsError("USAGE", `${subject} needs principal=NAME`);
  }
  if (!Number.isInteger(lifeSeconds) || lifeSeconds < 1) {
    throw new PcaptsError("USAGE", `${subject}: lifeSeconds expects a whole number, 1 or more`);
  }
  const scope = words.get("scope");
  return {
    token: {
      kind: "unsigned",
      claims: {
        [words.get("principalClaimName") ?? "sub"]: principal,
        ...(scope !== undefined && { [words.get("scopeClaimName") ?? "scope"]: scope.split(",") }),
      },
      lifeSeconds,
    },
    extensions,
  };
}
