/*
 * A secret may slip out encoded, or within something that is encoded.
 */

/**
 * The forms in which a secret could stand in a text, each long enough not to occur by chance.
 *
 * @param secret its bytes; of a long one its first 48 are looked for
 * @returns what the form is, and its text
 */
export function formsOf(secret: Buffer): [string, string][] {
  const head = secret.subarray(0, 48);
  const forms: [string, string][] = [
    ["in hex", head.toString("hex")],
    ["in hex", head.toString("hex").toUpperCase()],
    ["as numbers", head.join(",")],
    ["as numbers", head.join(", ")],
    ["as numbers in lines", head.join(",\n")],
    ["as bytes", (head.toString("hex").match(/../g) ?? []).join(" ")],
    ...inBase64(head),
  ];
  const text = head.toString();
  if (Buffer.from(text).equals(head)) {
    forms.push(
      ["as it is", text],
      ["in JSON", JSON.stringify(text).slice(1, -1)],
      ["in a URL", encodeURIComponent(text)],
      ["in a form", new URLSearchParams({ x: text }).toString().slice(2)],
    );
  }
  return forms;
}

/** Base64 of a text that holds the secret depends on what is before: three ways, without their ends. */
function inBase64(secret: Buffer): [string, string][] {
  return (["base64", "base64url"] as const).flatMap((encoding) =>
    [0, 1, 2].map((before): [string, string] => {
      const encoded = Buffer.concat([Buffer.alloc(before), secret]).toString(encoding);
      return [`in ${encoding}`, encoded.slice(before === 0 ? 0 : 4, encoded.length - 4)];
    }),
  );
}
