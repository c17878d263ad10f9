import { linkTypeOfDlt } from "../packet/link-types.ts";
import { loadLibpcap, type LibpcapAddon, type LibpcapSession } from "./libpcap-addon.ts";
import { openingError } from "./opening-error.ts";

/** A link type that an interface can be opened with. */
export interface LinkTypeChoice {
  /** LINKTYPE_ number. */
  readonly linkType: number;
  /** libpcap's name, as `-y` takes it; "" where it has none. */
  readonly name: string;
  readonly description: string;
}

/** A way of stamping frames that an interface offers. */
export interface TimeStampTypeChoice {
  /** libpcap's name, as `-j` takes it. */
  readonly name: string;
  readonly description: string;
}

/** Bytes of a ring that nothing is captured in. */
const SMALL_RING_BYTES = 256 * 1024;

/**
 * Lists what an interface can be opened with, its default first; opens it for that.
 *
 * @param interfaceName as libpcap names it
 * @param addon for tests
 * @throws PcaptsError INTERFACE_NOT_FOUND, INTERFACE_PERMISSION, CAPTURE_FAILED, ENGINE_UNAVAILABLE
 */
export function listLinkTypes(
  interfaceName: string,
  addon: LibpcapAddon = loadLibpcap(),
): LinkTypeChoice[] {
  let session: LibpcapSession | undefined;
  try {
    session = addon.open({
      interfaceName,
      snapLengthBytes: 64,
      bufferBytes: SMALL_RING_BYTES,
      promiscuous: false,
      immediate: false,
      nanosecond: false,
      dlt: -1,
      timeStampType: undefined,
    });
    const { dlt } = addon.facts(session);
    return addon
      .linkTypes(session)
      .toSorted((a, b) => Number(b.value === dlt) - Number(a.value === dlt))
      .map(({ value, name, description }) => ({
        linkType: linkTypeOfDlt(value),
        name,
        description,
      }));
  } catch (cause) {
    throw explain(addon, interfaceName, cause);
  } finally {
    if (session !== undefined) addon.stop(session);
  }
}

/**
 * Lists who can stamp the frames of an interface. Empty where there is nothing to choose from.
 *
 * @param interfaceName as libpcap names it
 * @param addon for tests
 * @throws PcaptsError as {@link listLinkTypes}
 */
export function listTimeStampTypes(
  interfaceName: string,
  addon: LibpcapAddon = loadLibpcap(),
): TimeStampTypeChoice[] {
  try {
    return addon
      .timeStampTypes(interfaceName)
      .map(({ name, description }) => ({ name, description }));
  } catch (cause) {
    throw explain(addon, interfaceName, cause);
  }
}

function explain(addon: LibpcapAddon, interfaceName: string, cause: unknown): Error {
  if (!(cause instanceof Error)) return new Error(String(cause));
  const code = "code" in cause ? String(cause.code) : "";
  const existing = addon.listInterfaces().map(({ name }) => name);
  return openingError(interfaceName, { reason: cause.message, code, cause }, existing);
}
