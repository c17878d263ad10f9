import type { FrameSource } from "./frame-source.ts";
import type { ProcessUser } from "./process-user.ts";

/** How frames are taken from an interface. */
export type CaptureEngine = "libpcap" | "cap";

/** What an interface is opened with, whichever engine does it. */
export interface LiveSourceOptions {
  /** As libpcap names it, or `any`. */
  readonly interfaceName: string;
  /** Host or probe name for the chunks' interface table. */
  readonly sensor: string;
  /** Longer frames are cut. `cap` itself cuts at 65,535. */
  readonly snapLengthBytes: number;
  /** Kernel ring. */
  readonly bufferBytes: number;
  /** libpcap filter; "" takes every frame. */
  readonly filter: string;
  /** Whether frames for other machines are asked for. `cap` always asks for them. */
  readonly promiscuous: boolean;
  /** Hand frames over one at a time as they arrive. */
  readonly immediate: boolean;
  /** Capture times with nanoseconds, where the device has them. */
  readonly nanosecond: boolean;
  /** LINKTYPE_ number to open with; undefined: the interface's default. */
  readonly linkType: number | undefined;
  /** libpcap's name for who stamps frames, such as `host` or `adapter`; undefined: its default. */
  readonly timeStampType: string | undefined;
  /**
   * Who a process that an engine starts changes to once the interface is open; undefined: it stays
   * who it is. Who this process is, is its own affair.
   */
  readonly processUser: ProcessUser | undefined;
}

/** An open interface. */
export interface LiveSource extends FrameSource {
  readonly kind: "live";
  /** "stream": the frames were captured elsewhere. */
  readonly engine: CaptureEngine | "stream";
  /** What the engine gives and what it does not, for the line that says which one runs. */
  readonly description: string;
  /**
   * Leaves out frames that match a libpcap expression, beside those the user's filter leaves out; the
   * expression before is forgotten. Before `chunks()` the kernel does it. Later nothing is lost by
   * the change: frames that match are counted as filtered.
   *
   * @param expression "" leaves nothing out
   * @returns false where frames of this link type have nothing such an expression could match
   */
  exclude(expression: string): Promise<boolean>;
  /**
   * How long, in ms, nothing was heard of what captures, where it says now and then that it is there;
   * only a source that is read hears it.
   */
  silentMs?(): number;
}
