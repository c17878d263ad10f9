import { useTicketsOf } from "./kerberos-environment.ts";
import { loadKerberos } from "./kerberos-module.ts";
import type { KerberosClient, KerberosModule } from "./kerberos-module.ts";
import { isTicketExpired, kerberosRefusal } from "./kerberos-refusal.ts";
import { listKeytabPrincipals } from "./keytab.ts";
import { exchangeToken } from "./sasl-mechanism.ts";
import type { SaslMechanism, SaslSession } from "./sasl-mechanism.ts";
import type { KerberosOptions } from "./security-options.ts";

/** The layer that neither signs nor encrypts; TLS does that. */
const NO_LAYER = 1;

/** Getting tickets writes to their cache, which logins at the same time would read half written. */
let lastTurn: Promise<unknown> = Promise.resolve();

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const turn = lastTurn.then(work);
  lastTurn = turn.catch(() => {});
  return turn;
}

/**
 * Logs in with a Kerberos ticket (RFC 4752):
 *
 * ```
 *   client                                   broker
 *   ticket and authenticator  ─────────────►
 *                             ◄─────────────  proof that it is the broker
 *   nothing                   ─────────────►
 *                             ◄─────────────  wrapped: layers it offers (1 byte), largest message (3)
 *   wrapped: 01 00 00 00,
 *   whom to act as            ─────────────►
 * ```
 */
export class GssapiMechanism implements SaslMechanism {
  readonly name = "GSSAPI";
  readonly #options: KerberosOptions;
  #user: string | undefined;
  /** Number of the ticket cache in memory. */
  #cache = 0;

  constructor(options: KerberosOptions) {
    this.#options = options;
    this.#user = options.principal;
  }

  get user(): string | undefined {
    const { keytab } = this.#options;
    return this.#user ?? (keytab === undefined ? undefined : listKeytabPrincipals(keytab)[0]);
  }

  /** The first part, as brokers' default rule has it: "probe" of "probe/host@EXAMPLE.COM". */
  get shortUser(): string | undefined {
    return this.user?.replace(/[/@].*$/, "");
  }

  prepare(): void {
    loadKerberos();
  }

  async authenticate(session: SaslSession): Promise<void> {
    const service = `${this.#options.serviceName}@${session.host}`;
    const attempt = async <T>(call: () => Promise<T>): Promise<T> => {
      try {
        return await call();
      } catch (error) {
        if (isTicketExpired(error as Error)) this.#cache++;
        throw kerberosRefusal(error as Error, service, this.#options);
      }
    };
    const { client, first } = await attempt(() =>
      inTurn(() => this.#begin(loadKerberos(), service)),
    );
    let answer = await exchangeToken(session, first);
    while (!client.contextComplete) {
      const next = await attempt(() => client.step(answer.toString("base64")));
      answer = await exchangeToken(session, Buffer.from(next ?? "", "base64"));
    }
    const offer = Buffer.from(
      await attempt(() => client.unwrap(answer.toString("base64"))),
      "base64",
    );
    if (((offer[0] ?? 0) & NO_LAYER) === 0) {
      throw new Error(
        "the broker demands a security layer of Kerberos's own; TLS is what is spoken here",
      );
    }
    this.#user = client.username ?? this.#user;
    // The package reads eight bytes of the offer and takes the first four over.
    const none = Buffer.from([NO_LAYER, 0, 0, 0, 0, 0, 0, 0]).toString("base64");
    const reply = await attempt(() => client.wrap(none, { user: this.#user ?? "" }));
    await exchangeToken(session, Buffer.from(reply, "base64"));
  }

  async #begin(
    kerberos: KerberosModule,
    service: string,
  ): Promise<{ client: KerberosClient; first: Buffer }> {
    try {
      return await this.#start(kerberos, service);
    } catch (error) {
      // A KDC that was away is asked again after 30 s only, unless there is nothing in the cache.
      if (this.#options.keytab === undefined || !isTicketExpired(error as Error)) throw error;
      this.#cache++;
      return this.#start(kerberos, service);
    }
  }

  async #start(
    kerberos: KerberosModule,
    service: string,
  ): Promise<{ client: KerberosClient; first: Buffer }> {
    const { keytab, principal } = this.#options;
    useTicketsOf(keytab, this.#cache);
    const client = await kerberos.initializeClient(service, {
      ...(principal !== undefined && { principal }),
      mechOID: kerberos.GSS_MECH_OID_KRB5,
    });
    return { client, first: Buffer.from((await client.step("")) ?? "", "base64") };
  }
}
