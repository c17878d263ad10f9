/*
 * What a tool bar of Wireshark and an extcap program say to each other (Wireshark Developer's Guide,
 * "Control Protocol"):
 *
 *   sync pipe indication  1 byte, "T"
 *   message length        3 bytes, most significant first: control number, command and payload
 *   control number        1 byte
 *   command               1 byte
 *   payload               0 to 65535 bytes
 */

const INDICATION = 0x54;
const HEADER_BYTES = 6;
const MOST_PAYLOAD_BYTES = 65_535;

/** Commands. */
export const CONTROL = {
  INITIALIZED: 0,
  SET: 1,
  ADD: 2,
  STATUS: 6,
  WARNING: 8,
} as const;

/** One message. */
export interface ControlMessage {
  readonly control: number;
  readonly command: number;
  readonly payload: string;
}

/** Encodes a message; a text that is too long is cut. */
export function encodeControl(control: number, command: number, text: string): Buffer {
  const payload = Buffer.from(text).subarray(0, MOST_PAYLOAD_BYTES);
  const message = Buffer.alloc(HEADER_BYTES + payload.length);
  message.writeUInt8(INDICATION, 0);
  message.writeUIntBE(payload.length + 2, 1, 3);
  message.writeUInt8(control, 4);
  message.writeUInt8(command, 5);
  payload.copy(message, HEADER_BYTES);
  return message;
}

/** Puts messages together from what a pipe brings. */
export class ControlReader {
  #rest = Buffer.alloc(0);

  /**
   * @param bytes the next of the pipe
   * @returns the messages that are complete by now; none any more once something else came
   */
  read(bytes: Buffer): ControlMessage[] {
    const messages: ControlMessage[] = [];
    let rest = Buffer.concat([this.#rest, bytes]);
    while (rest.length >= HEADER_BYTES) {
      const end = 4 + rest.readUIntBE(1, 3);
      if (rest[0] !== INDICATION || end < HEADER_BYTES) {
        rest = Buffer.alloc(0);
        break;
      }
      if (end - HEADER_BYTES > MOST_PAYLOAD_BYTES || rest.length < end) break;
      messages.push({
        control: rest[4]!,
        command: rest[5]!,
        payload: rest.toString("utf8", HEADER_BYTES, end),
      });
      rest = rest.subarray(end);
    }
    this.#rest = rest;
    return messages;
  }
}
