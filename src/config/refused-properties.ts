/*
 * Properties of librdkafka that are known and refused: to ignore them would
 * be to promise what is not done.
 */

const listNames = (names: string): readonly string[] => names.trim().split(/\s+/);

/** OAuth with an assertion that this program signs. */
export const ASSERTION_PROPERTIES: readonly string[] = listNames(`
  sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
  sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
  sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
  sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file
  sasl.oauthbearer.assertion.jwt.template.file sasl.oauthbearer.assertion.private.key.file
  sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem
`);

/** What OpenSSL would load. */
export const OPENSSL_PROPERTIES: readonly string[] = listNames(`
  ssl.engine.id ssl.engine.location ssl.providers
`);

/** What a program sets with calls of its own; librdkafka takes them as text from nobody. */
export const PROGRAM_PROPERTIES: readonly string[] = listNames(`
  background_event_cb closesocket_cb connect_cb consume_cb default_topic_conf dr_cb dr_msg_cb
  error_cb interceptors log_cb msg_order_cmp oauthbearer_token_refresh_cb offset_commit_cb opaque
  open_cb partitioner_cb rebalance_cb resolve_cb socket_cb ssl.certificate.verify_cb ssl_ca
  ssl_certificate ssl_engine_callback_data ssl_key stats_cb throttle_cb
`);

const ASSERTION_REASON =
  "tokens are asked for with a client secret; use sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret";
const OPENSSL_REASON = "Node's own OpenSSL is used as it is; leave it out";
const PROGRAM_REASON = "a program sets it with a call, no text can stand for it; leave it out";

/** Why a property is refused and what to do, by its name. */
export const REFUSED_PROPERTIES: ReadonlyMap<string, string> = new Map([
  ["transactional.id", "frames are published without transactions; leave it out"],
  ["plugin.library.paths", "librdkafka's plug-ins cannot be loaded; leave it out"],
  [
    "sasl.oauthbearer.metadata.authentication.type",
    "tokens come from sasl.oauthbearer.token.endpoint.url; leave it out",
  ],
  ...ASSERTION_PROPERTIES.map((name): [string, string] => [name, ASSERTION_REASON]),
  ...OPENSSL_PROPERTIES.map((name): [string, string] => [name, OPENSSL_REASON]),
  ...PROGRAM_PROPERTIES.map((name): [string, string] => [name, PROGRAM_REASON]),
]);
