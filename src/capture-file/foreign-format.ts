/** Formats that people hand over instead of pcap, by the first bytes of the file. */
const FOREIGN_FORMATS: readonly { readonly magic: string; readonly advice: string }[] = [
  {
    magic: "0a0d0d0a",
    advice: "it is a pcapng file, which is not read yet: editcap -F pcap converts it",
  },
  {
    magic: "a1b2cd34",
    advice: "it is a pcap file as patched by Kuznetzov: editcap -F pcap converts it",
  },
  {
    magic: "34cdb2a1",
    advice: "it is a pcap file as patched by Kuznetzov: editcap -F pcap converts it",
  },
  { magic: "736e6f6f70000000", advice: "it is a snoop file: editcap -F pcap converts it" },
  { magic: "1f8b", advice: "it is compressed by gzip: gunzip -c FILE | pcapts -p -r -" },
  { magic: "28b52ffd", advice: "it is compressed by zstd: zstd -dc FILE | pcapts -p -r -" },
  { magic: "04224d18", advice: "it is compressed by lz4: lz4 -dc FILE | pcapts -p -r -" },
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
  if (/^(d4c3b2a1|a1b2c3d4|4d3cb2a1|a1b23c4d)/.test(hex)) {
    return `it is cut at byte ${start.length}, within the 24 bytes of its header`;
  }
  const shown = hex.slice(0, 16).replace(/..(?=.)/g, "$& ");
  return `not a capture file (it starts with ${shown})`;
}
