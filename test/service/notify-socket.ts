import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** Node has no Unix datagrams: this prints each that comes, as a line of JSON. */
const SCRIPT = `
import json, os, socket, sys
receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = sys.argv[1]
receiver.bind("\\0" + address[1:] if address[0] == "@" else address)
if address[0] != "@":
    os.chmod(address, 0o666)
print('""', flush=True)
while True:
    print(json.dumps(receiver.recv(65536).decode()), flush=True)
`;

/** The end of a service manager that its services tell how they are. */
export class NotifySocket {
  /** What NOTIFY_SOCKET is set to. */
  readonly address: string;
  readonly #receiver: ChildProcessWithoutNullStreams;
  readonly #directory: string;
  #text = "";

  private constructor(address: string, directory: string) {
    this.address = address;
    this.#directory = directory;
    this.#receiver = spawn("python3", ["-c", SCRIPT, address]);
    this.#receiver.stdout.on("data", (bytes: Buffer) => {
      this.#text += bytes.toString();
    });
  }

  /** Listens, on a path or in the abstract namespace. */
  static async open(kind: "path" | "abstract" = "path"): Promise<NotifySocket> {
    const directory = mkdtempSync(path.join(tmpdir(), "pcapts-notify-"));
    const socketPath = path.join(directory, "notify");
    const socket = new NotifySocket(kind === "path" ? socketPath : `@${socketPath}`, directory);
    await once(socket.#receiver.stdout, "data");
    return socket;
  }

  /** Messages so far, in their order. */
  get messages(): readonly string[] {
    const lines = this.#text.split("\n").slice(1, -1);
    return lines.map((line) => JSON.parse(line) as string);
  }

  /** How many messages have this line. */
  count(line: string): number {
    return this.messages.filter((message) => message.split("\n").includes(line)).length;
  }

  /** Stops listening. */
  close(): void {
    this.#receiver.kill("SIGKILL");
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
