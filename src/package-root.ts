/** The directory of this package, wherever in it this code has been bundled. */
export const PACKAGE_ROOT = new URL(".", import.meta.resolve("pcapts/package.json"));
