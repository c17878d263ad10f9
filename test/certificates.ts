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
  /** Key and certificate in one PEM file, as a broker's `ssl.keystore.location` takes them. */
  readonly keystore: string;
}

/** The same with the forms that clients use. */
export interface ClientCertificateFiles extends CertificateFiles {
  /** The key encrypted with `password`, PEM. */
  readonly encryptedKey: string;
  /** Key and certificate encrypted with `password`, PKCS#12. */
  readonly pkcs12: string;
  readonly password: string;
}

/** Whom a certificate is for. */
interface CertificateSubject {
  readonly commonName: string;
  readonly alternativeNames?: string;
  /** Days from now; negative: it is over. */
  readonly days?: number;
}

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
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
        ...["-days", "30", "-subj", `/O=pcapts tests/CN=${name}`],
        ...["-keyout", `${name}.key`, "-out", `${name}.pem`],
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
    const password = `key-${randomBytes(9).toString("hex")}`;
    const encryptedKey = path.join(this.directory, `${commonName}-encrypted.key`);
    const pkcs12 = path.join(this.directory, `${commonName}.p12`);
    this.#openssl(
      ...["pkcs8", "-topk8", "-v2", "aes256", "-passout", `pass:${password}`],
      ...["-in", files.key, "-out", encryptedKey],
    );
    this.#openssl(
      ...["pkcs12", "-export", "-passout", `pass:${password}`, "-name", commonName],
      ...["-in", files.certificate, "-inkey", files.key, "-certfile", this.authority],
      ...["-out", pkcs12],
    );
    return { ...files, encryptedKey, pkcs12, password };
  }

  #create(name: string, subject: CertificateSubject): CertificateFiles {
    const { commonName, alternativeNames, days = 30 } = subject;
    const certificate = path.join(this.directory, `${name}.pem`);
    const key = path.join(this.directory, `${name}.key`);
    const request = path.join(this.directory, `${name}.csr`);
    const extensions = path.join(this.directory, `${name}.ext`);
    this.#openssl(
      ...["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ...["-subj", `/O=pcapts tests/CN=${commonName}`, "-keyout", key, "-out", request],
    );
    const lines = ["basicConstraints = CA:FALSE", "extendedKeyUsage = serverAuth, clientAuth"];
    if (alternativeNames !== undefined) lines.push(`subjectAltName = ${alternativeNames}`);
    fs.writeFileSync(extensions, `${lines.join("\n")}\n`);
    this.#openssl(
      ...[
        "x509",
        "-req",
        "-days",
        String(days),
        "-set_serial",
        `0x${randomBytes(8).toString("hex")}`,
      ],
      ...["-CA", this.authority, "-CAkey", path.join(this.directory, "authority.key")],
      ...["-extfile", extensions, "-in", request, "-out", certificate],
    );
    const keystore = path.join(this.directory, `${name}-keystore.pem`);
    fs.writeFileSync(keystore, fs.readFileSync(key, "utf8") + fs.readFileSync(certificate, "utf8"));
    return { certificate, key, keystore };
  }

  #openssl(...args: readonly string[]): void {
    execFileSync("openssl", args, { cwd: this.directory, stdio: "pipe" });
  }
}
