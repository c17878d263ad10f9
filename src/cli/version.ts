import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { loadKerberos } from "../kafka/kerberos-module.ts";
import { packageFile } from "../package-file.ts";
import { requirePackage } from "../require-package.ts";

/** In the order in which programs look for it. */
const LIBPCAP_NAMES = ["libpcap.so.1", "libpcap.so.0.8", "libpcap.so"];

const LIBRARY_ROOTS = ["/usr/local/lib", "/lib", "/usr/lib", "/lib64", "/usr/lib64"];

/** Version of this package. */
export function readPcaptsVersion(): string {
  return readVersion(packageFile("package.json"));
}

/**
 * The version that the name of libpcap's file tells: links such as libpcap.so.1
 * lead to a file named libpcap.so.1.10.3.
 *
 * @param directories where to look; by default where distributions put libraries
 * @returns "1.10.3", or undefined where there is no libpcap or its file has another name
 */
export function findLibpcapVersion(
  directories: readonly string[] = listLibraryDirectories(),
): string | undefined {
  for (const directory of directories) {
    for (const name of LIBPCAP_NAMES) {
      const version = /\.so\.([\d.]+)$/.exec(readLinkTarget(join(directory, name)))?.[1];
      if (version !== undefined) return version;
    }
  }
  return undefined;
}

/** What `--version` prints, each line ending in "\n". */
export async function formatVersions(): Promise<string> {
  return (
    `pcapts ${readPcaptsVersion()}\n` +
    `Node ${process.versions.node}\n` +
    `libpcap ${await describeLibpcap()}\n` +
    `kafkajs ${readVersion(requirePackage.resolve("kafkajs/package.json"))}\n` +
    `kerberos ${findKerberosVersion() ?? "not found"}\n`
  );
}

/** The version that captures, or the one that is there, and why it does not. */
async function describeLibpcap(): Promise<string> {
  const { libpcapVersion, loadLibpcap } = await import("../capture/libpcap-addon.ts");
  try {
    return libpcapVersion(loadLibpcap());
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `${findLibpcapVersion() ?? "not found"} (${reason})`;
  }
}

/** Undefined where the optional package, or the library that it needs, cannot be loaded. */
function findKerberosVersion(): string | undefined {
  try {
    return loadKerberos().version;
  } catch {
    return undefined;
  }
}

function readVersion(file: string | URL): string {
  const description = JSON.parse(readFileSync(file, "utf8")) as { version: string };
  return description.version;
}

/** Each root, and the directories under it that are named after a machine, as Debian has them. */
function listLibraryDirectories(): string[] {
  return LIBRARY_ROOTS.flatMap((root) => {
    let names: string[] = [];
    try {
      names = readdirSync(root).filter((name) => name.includes("-linux-"));
    } catch {
      // A root that this distribution does not have.
    }
    return [...names.map((name) => join(root, name)), root];
  });
}

function readLinkTarget(path: string): string {
  try {
    return basename(realpathSync(path));
  } catch {
    return "";
  }
}
