import assert from "node:assert/strict";
import { test } from "node:test";
import { openingError } from "../../src/capture/opening-error.ts";

// What libpcap 1.10 says of `-B 1 --immediate-mode -s 64`, and of a machine that is short of memory.
test("openingError() says what may help when there is no ring to be had", () => {
  const advice = "; a usual -B, --buffer-size (65536 KiB) may do";
  for (const reason of [
    "can't mmap rx ring: Invalid argument",
    "can't create rx ring on packet socket: Cannot allocate memory",
  ]) {
    const { code, message } = openingError("eth0", { reason }, []);
    assert.equal(code, "CAPTURE_FAILED");
    assert.equal(message, `Cannot open interface "eth0": ${reason}${advice}`);
  }
  const other = openingError("eth0", { reason: "string is too long" }, []);
  assert.equal(other.message, 'Cannot open interface "eth0": string is too long');
});
