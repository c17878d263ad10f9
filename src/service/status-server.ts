import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { PcaptsError } from "../errors.ts";
import type { Health, Reasons } from "./run-health.ts";

/** What a {@link StatusServer} answers with. */
export interface StatusPages {
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** How the run is at the moment. */
  health(): Health;
}

/** A page. */
interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

const PLAIN = "text/plain; charset=utf-8";

/** `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever starts the process again. */
export class StatusServer {
  /** Where it listens, with the port that was free if any was to be taken. */
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /**
   * Listens.
   *
   * @param address port 0 takes a free one
   * @throws PcaptsError METRICS_LISTEN
   */
  static async open(
    { host, port }: { readonly host: string; readonly port: number },
    pages: StatusPages,
  ): Promise<StatusServer> {
    const server = createServer((request, response) => void respond(pages, request, response));
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause: NodeJS.ErrnoException) => {
        reject(
          new PcaptsError(
            "METRICS_LISTEN",
            `Cannot serve metrics at "${host}:${port}": ${describe(cause)}; choose another --metrics HOST:PORT`,
            { cause },
          ),
        );
      });
      server.listen({ host, port }, resolve);
    });
    // The process ends when its run does, whoever still asks.
    server.unref();
    const bound = server.address();
    return new StatusServer(
      server,
      typeof bound === "object" && bound !== null ? bound.port : port,
    );
  }

  /** Stops listening, and ends connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeAllConnections();
    await closed;
  }
}

async function respond(
  pages: StatusPages,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let answer: Answer;
  try {
    answer = await answerTo(pages, request);
  } catch (error) {
    answer = { status: 500, contentType: PLAIN, text: `${String(error)}\n` };
  }
  response.writeHead(answer.status, {
    "content-type": answer.contentType,
    "content-length": Buffer.byteLength(answer.text),
    ...(answer.status === 405 && { allow: "GET, HEAD" }),
  });
  response.end(request.method === "HEAD" ? undefined : answer.text);
}

async function answerTo(
  pages: StatusPages,
  { method, url = "/" }: IncomingMessage,
): Promise<Answer> {
  if (method !== "GET" && method !== "HEAD") {
    return { status: 405, contentType: PLAIN, text: "only GET and HEAD\n" };
  }
  switch (url.split("?", 1)[0]) {
    case "/metrics":
      return {
        status: 200,
        contentType: pages.metrics.contentType,
        text: await pages.metrics.text(),
      };
    case "/healthz":
      return judge(pages.health().illness(), "healthy");
    case "/readyz":
      return judge(pages.health().hindrances(), "ready");
    default:
      return {
        status: 404,
        contentType: PLAIN,
        text: "there are /metrics, /healthz and /readyz\n",
      };
  }
}

function judge(reasons: Reasons, good: string): Answer {
  return reasons.length === 0
    ? { status: 200, contentType: PLAIN, text: `${good}\n` }
    : { status: 503, contentType: PLAIN, text: reasons.map((reason) => `${reason}\n`).join("") };
}

function describe({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case "EADDRINUSE":
      return "another program listens there";
    case "EADDRNOTAVAIL":
      return "it is no address of this machine";
    case "EACCES":
      return "this user may not listen there";
    case "ENOTFOUND":
      return "there is no such host";
    default:
      return message;
  }
}
