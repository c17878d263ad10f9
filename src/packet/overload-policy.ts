/** What becomes of frames of an interface while neither memory nor spool has room. */
export type OverloadPolicy =
  | { readonly kind: "drop-new" }
  /** Frames are cut to so many bytes. */
  | { readonly kind: "truncate"; readonly bytes: number }
  /** One conversation of so many is kept. */
  | { readonly kind: "sample"; readonly oneOf: number };
