import { PcaptsError } from "../errors.ts";
import { ConnectionError } from "./connection-error.ts";

/**
 * What is needed to log in cannot be had at the moment: no KDC or no token
 * endpoint answers. At the start of a run that ends it; later it is tried
 * again, because a connection that is open needs neither.
 */
export class CredentialsError extends ConnectionError {
  override name = "CredentialsError";

  /** What it is to a user when nobody tries again. */
  asRefusal(): PcaptsError {
    return new PcaptsError("AUTHENTICATION_FAILED", this.message, { cause: this.cause });
  }
}
