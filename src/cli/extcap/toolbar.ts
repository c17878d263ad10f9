import { constants, open as openFile } from "node:fs";
import { Socket } from "node:net";
import { promisify } from "node:util";
import { ControlReader, encodeControl, CONTROL } from "./control-message.ts";
import { LOG_CONTROL, TOOLBAR_ROWS } from "./sentences.ts";

const open = promisify(openFile);

/** The message to the status bar belongs to no control. */
const NO_CONTROL = 0;

/** Wireshark's tool bar during a capture: what is set there, and what is shown there. */
export class Toolbar {
  /** What was changed, by the names of the flags. */
  readonly changed: ReadonlyMap<string, string>;
  /** Resolves when everything that was changed before the capture is known. */
  readonly ready: Promise<void>;
  readonly #changed = new Map<string, string>();
  readonly #input: Socket;
  readonly #output: Socket;
  #onChange = (): void => {};

  private constructor(input: Socket, output: Socket) {
    this.changed = this.#changed;
    this.#input = input;
    this.#output = output;
    const reader = new ControlReader();
    this.ready = new Promise((resolve) => {
      input.on("data", (bytes: Buffer) => {
        for (const { control, command, payload } of reader.read(bytes)) {
          if (command === CONTROL.INITIALIZED) resolve();
          else if (command === CONTROL.SET) this.#set(control, payload);
        }
      });
      // Without a tool bar there is nothing to wait for.
      input.on("close", () => resolve());
    });
    input.on("error", () => {});
    output.on("error", () => {});
  }

  /**
   * Opens the pipes of the tool bar.
   *
   * @param input path of `--extcap-control-in`
   * @param output path of `--extcap-control-out`
   * @throws what the operating system says
   */
  static async open(input: string, output: string): Promise<Toolbar> {
    // For both ways, because an open for one waits until Wireshark opens its end.
    const flags = constants.O_RDWR | constants.O_NONBLOCK;
    const reading = { fd: await open(input, flags), readable: true, writable: false };
    // What it would read were its own messages.
    const writing = { fd: await open(output, flags), readable: false, writable: true };
    return new Toolbar(new Socket(reading), new Socket(writing));
  }

  /** Says what to do when a setting is changed during the capture. */
  onChange(handler: () => void): void {
    this.#onChange = handler;
  }

  /** Adds a line to the log. */
  log(text: string): void {
    this.#output.write(encodeControl(LOG_CONTROL, CONTROL.ADD, `${text}\n`));
  }

  /** Shows a message in the status bar. */
  status(text: string): void {
    this.#output.write(encodeControl(NO_CONTROL, CONTROL.STATUS, text));
  }

  /** Shows a message that has to be confirmed. */
  warn(text: string): void {
    this.#output.write(encodeControl(NO_CONTROL, CONTROL.WARNING, text));
  }

  /** Lets go of the pipes. */
  close(): void {
    this.#input.destroy();
    this.#output.destroy();
  }

  #set(control: number, payload: string): void {
    const row = TOOLBAR_ROWS[control];
    if (row === undefined || this.#changed.get(row.long) === payload) return;
    this.#changed.set(row.long, payload);
    this.#onChange();
  }
}
