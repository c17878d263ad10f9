import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { createTopic, randomTopicName } from "../brokers.ts";
import { startKerberosRealm } from "../kerberos-realm.ts";
import { sharedSecureCluster } from "../secure-cluster.ts";
import { fetchToken, startTokenServer, tokenEndpoint } from "../token-server.ts";
import { confluentKafka, kcat } from "./other-clients.ts";
import { waysIn } from "./properties.ts";

/*
 * The servers that the other tests here rely on, seen by programs that are not pcapts.
 */

test("every listener and mechanism takes librdkafka's programs with the properties of the tests", async () => {
  const cluster = await sharedSecureCluster();
  const clients = [kcat(cluster), confluentKafka()];
  for (const { name, properties, otherClient } of waysIn(cluster)) {
    const topic = randomTopicName("pcap");
    await createTopic(cluster.bootstrap.PLAINTEXT, topic);
    const client = clients.find((one) => one.name === otherClient);
    assert.ok(client !== undefined);
    await client.produce(properties, topic, ["one", "three"]);
    assert.deepEqual(await client.valueLengths(properties, topic), [3, 5], name);
  }
});

test("a realm gives tickets of the wanted lifetime until its KDC is stopped", async () => {
  const realm = await startKerberosRealm();
  try {
    realm.addPrincipal("alice", { ticketLifetimeSeconds: 1 });
    const environment = realm.kinit("alice");
    const valid = (): boolean => {
      try {
        execFileSync("klist", ["-s"], { env: { ...process.env, ...environment } });
        return true;
      } catch {
        return false;
      }
    };
    while (valid());
    assert.match(realm.log(), /ISSUE: .* alice@PCAPTS\.TEST for krbtgt/);
    await realm.stop();
    assert.throws(() => realm.kinit("alice"), /Cannot contact any KDC/);
    await realm.start();
    realm.kinit("alice");
  } finally {
    await realm.remove();
  }
});

test("a token server refuses a wrong secret and gives tokens of the wanted lifetime", async () => {
  const server = await startTokenServer();
  try {
    const body = new URLSearchParams({ grant_type: "client_credentials" });
    const headers = { Authorization: `Basic ${Buffer.from("alice:wrong").toString("base64")}` };
    const refused = await fetch(tokenEndpoint(server), { method: "POST", headers, body });
    assert.equal(refused.status, 401);
    const [, claims = ""] = (await fetchToken(server, "alice", 7)).split(".");
    const { sub, iat, exp } = JSON.parse(Buffer.from(claims, "base64url").toString()) as {
      sub: string;
      iat: number;
      exp: number;
    };
    assert.deepEqual([sub, exp - iat], ["alice", 7]);
  } finally {
    await server.stop();
  }
});
