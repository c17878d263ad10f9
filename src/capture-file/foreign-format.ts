/** Formats that people hand over instead of pcap, by the first bytes of the file. */
const FOREIGN_FORMATS: readonly { readonly magic: string; readonly advice: string }[] = [
  {
    magic: "a1b234cd",
    advice: "it is a pcap file as patched by Mesquita, which nothing else than that patch reads",
  },
  {
    magic: "cd34b2a1",
    advice: "it is a pcap file as patched by Mesquita, which nothing else than that patch reads",
  },
  { magic: "a12b3c4d", advice: "it is a pcap file by Navtel, which only Navtel's programs read" },
  { magic: "4d3c2ba1", advice: "it is a pcap file by Navtel, which only Navtel's programs read" },
  { magic: "736e6f6f70000000", advice: "it is a snoop file: editcap -F pcap converts it" },
  {
    magic: "1f8b",
    advice: "it is compressed by gzip more than once: gunzip -c FILE | pcapts -p -r -",
  },
  {
    magic: "28b52ffd",
    advice: "it is compressed by zstd more than once: zstd -dc FILE | pcapts -p -r -",
  },
  {
    magic: "04224d18",
    advice: "it is compressed by lz4 more than once: lz4 -dc FILE | pcapts -p -r -",
  },
  { magic: "fd377a585a00", advice: "it is compressed by xz: xz -dc FILE | pcapts -p -r -" },
  { magic: "425a68", advice: "it is compressed by bzip2: bzip2 -dc FILE | pcapts -p -r -" },
  { magic: "504b0304", advice: "it is a zip archive: unzip -p FILE | pcapts -p -r -" },
];

/**
 * Says why a file is not a pcap file, for the end of an error message.
 *
 * @param start the first bytes of the file, fewer than 24, or without a pcap magic number
 * @returns a phrase such as `not a capture file (it starts with 68 65 6c 6c)`
 */
export function describeForeignFile(start: Uint8Array): string {
  if (start.length === 0)
    return "it is empty (0 bytes); even a capture without frames has a header";
  const hex = Buffer.from(start).toString("hex");
  const known = FOREIGN_FORMATS.find(({ magic }) => hex.startsWith(magic));
  if (known !== undefined) return known.advice;
  if (/^(d4c3b2a1|a1b2c3d4|4d3cb2a1|a1b23c4d|a1b2cd34|34cdb2a1)/.test(hex)) {
    return `it is cut at byte ${start.length}, within the 24 bytes of its header`;
  }
  const shown = hex.slice(0, 16).replace(/..(?=.)/g, "$& ");
  return `not a capture file (it starts with ${shown})`;
}
