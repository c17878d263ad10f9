/*
 * Properties of librdkafka that are known and refused: to ignore them would
 * be to promise what is not done.
 */

const listNames = (names: string): readonly string[] => names.trim().split(/\s+/);

/** Encryption and authentication: names that a later release gives their meaning. */
export const SECURITY_PROPERTIES: readonly string[] = listNames(`
  enable.sasl.oauthbearer.unsecure.jwt enable.ssl.certificate.verification https.ca.location
  https.ca.pem sasl.kerberos.keytab sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin
  sasl.kerberos.principal sasl.kerberos.service.name sasl.mechanism sasl.mechanisms
  sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
  sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss
  sasl.oauthbearer.assertion.claim.jti.include sasl.oauthbearer.assertion.claim.nbf.seconds
  sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file
  sasl.oauthbearer.assertion.jwt.template.file sasl.oauthbearer.assertion.private.key.file
  sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.private.key.pem
  sasl.oauthbearer.client.credentials.client.id sasl.oauthbearer.client.credentials.client.secret
  sasl.oauthbearer.client.id sasl.oauthbearer.client.secret sasl.oauthbearer.config
  sasl.oauthbearer.extensions sasl.oauthbearer.grant.type
  sasl.oauthbearer.metadata.authentication.type sasl.oauthbearer.method sasl.oauthbearer.scope
  sasl.oauthbearer.token.endpoint.url sasl.password sasl.username ssl.ca.certificate.stores
  ssl.ca.location ssl.ca.pem ssl.certificate.location ssl.certificate.pem ssl.cipher.suites
  ssl.crl.location ssl.curves.list ssl.endpoint.identification.algorithm ssl.engine.id
  ssl.engine.location ssl.key.location ssl.key.password ssl.key.pem ssl.keystore.location
  ssl.keystore.password ssl.providers ssl.sigalgs.list
`);

/** What a program sets with calls of its own; librdkafka takes them as text from nobody. */
export const PROGRAM_PROPERTIES: readonly string[] = listNames(`
  background_event_cb closesocket_cb connect_cb consume_cb default_topic_conf dr_cb dr_msg_cb
  error_cb interceptors log_cb msg_order_cmp oauthbearer_token_refresh_cb offset_commit_cb opaque
  open_cb partitioner_cb rebalance_cb resolve_cb socket_cb ssl.certificate.verify_cb ssl_ca
  ssl_certificate ssl_engine_callback_data ssl_key stats_cb throttle_cb
`);

const SECURITY_REASON =
  "encryption and authentication are not there yet; use a plaintext listener of the cluster";
const PROGRAM_REASON = "a program sets it with a call, no text can stand for it; leave it out";

/** Why a property is refused and what to do, by its name. */
export const REFUSED_PROPERTIES: ReadonlyMap<string, string> = new Map([
  ["transactional.id", "frames are published without transactions; leave it out"],
  ["plugin.library.paths", "librdkafka's plug-ins cannot be loaded; leave it out"],
  ...SECURITY_PROPERTIES.map((name): [string, string] => [name, SECURITY_REASON]),
  ...PROGRAM_PROPERTIES.map((name): [string, string] => [name, PROGRAM_REASON]),
]);
