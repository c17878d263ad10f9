/**
 * A file of this package, wherever in it this code has been bundled.
 *
 * @param path from the package's directory
 */
export function packageFile(path: string): URL {
  return new URL(path, import.meta.resolve("pcapts/package.json"));
}
