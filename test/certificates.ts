/**
 * Certificates of a test, made by openssl in a directory of their own.
 *
 *     authority ─┬─ localhost     server, for localhost and 127.0.0.1
 *                ├─ expired       server, its time is over
 *                ├─ elsewhere     server, for another host
 *                └─ client names  for ssl.certificate.location, and as PKCS#12
 *     stranger      another authority, which nobody here trusts
 */
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import * as fs from "node:fs";
import path from "node:path";

/** A certificate and its key, as files. */
export interface CertificateFiles {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly key: string;
  /** Key and certificate encrypted with `password`, PKCS#12. */
  readonly pkcs12: string;
  readonly password: string;
}

/** The same with the forms that clients use. */
export interface ClientCertificateFiles extends CertificateFiles {
  /** The key encrypted with `password`, PEM. */
  readonly encryptedKey: string;
}

/** Whom a certificate is for. */
interface CertificateSubject {
  readonly commonName: string;
  readonly alternativeNames?: string;
  /** Days from now; negative: it is over. */
  readonly days?: number;
}

const NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/** An authority and what it signed. */
export class Certificates {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** The authority's certificate, PEM: what clients trust. */
  get authority(): string {
    return path.join(this.directory, "authority.pem");
  }

  /** The certificate of an authority that signed none of these, PEM. */
  get stranger(): string {
    return path.join(this.directory, "stranger.pem");
  }

  /** Makes both authorities; the directory is made when it is not there. */
  createAuthorities(): void {
    fs.mkdirSync(this.directory, { recursive: true });
    for (const name of ["authority", "stranger"]) {
      this.#openssl(
        `req -x509 ${NEW_KEY} -days 30 -subj /O=pcapts/CN=${name} -keyout ${name}.key -out ${name}.pem`,
      );
    }
  }

  /** A certificate for a server that is reached as localhost or 127.0.0.1. */
  createServer(name: string, subject: Partial<CertificateSubject> = {}): CertificateFiles {
    return this.#create(name, {
      commonName: "localhost",
      alternativeNames: "DNS:localhost,IP:127.0.0.1",
      ...subject,
    });
  }

  /** A certificate whose common name is the principal's name. */
  createClient(commonName: string): ClientCertificateFiles {
    const files = this.#create(commonName, { commonName });
    const encryptedKey = this.#path(`${commonName}-encrypted.key`);
    this.#openssl(
      `pkcs8 -topk8 -v2 aes256 -passout pass:${files.password} -in ${files.key} -out ${encryptedKey}`,
    );
    return { ...files, encryptedKey };
  }

  #create(name: string, subject: CertificateSubject): CertificateFiles {
    const { commonName, alternativeNames, days = 30 } = subject;
    this.#openssl(
      `req -new ${NEW_KEY} -subj /O=pcapts/CN=${commonName} -keyout ${name}.key -out ${name}.csr`,
    );
    const extensions = ["basicConstraints = CA:FALSE", "extendedKeyUsage = serverAuth, clientAuth"];
    if (alternativeNames !== undefined) extensions.push(`subjectAltName = ${alternativeNames}`);
    fs.writeFileSync(this.#path(`${name}.ext`), `${extensions.join("\n")}\n`);
    this.#openssl(
      `x509 -req -days ${days} -set_serial 0x${randomBytes(8).toString("hex")} ` +
        `-CA authority.pem -CAkey authority.key -extfile ${name}.ext -in ${name}.csr -out ${name}.pem`,
    );
    const password = `key-${randomBytes(9).toString("hex")}`;
    this.#openssl(
      `pkcs12 -export -passout pass:${password} -name ${name} -in ${name}.pem -inkey ${name}.key ` +
        `-certfile authority.pem -out ${name}.p12`,
    );
    return {
      certificate: this.#path(`${name}.pem`),
      key: this.#path(`${name}.key`),
      pkcs12: this.#path(`${name}.p12`),
      password,
    };
  }

  #path(name: string): string {
    return path.join(this.directory, name);
  }

  /** Runs openssl in the directory with the words of a line. */
  #openssl(line: string): void {
    execFileSync("openssl", line.split(" "), { cwd: this.directory, stdio: "pipe" });
  }
}
