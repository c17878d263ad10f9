import { execFileSync } from "node:child_process";
import { pythonExecutable } from "./brokers.ts";

/* kafkajs cannot make SCRAM users; Kafka's own tool takes a JVM's start for each. */
const SCRIPT = `
import json, sys
from confluent_kafka.admin import (AdminClient, ScramCredentialInfo, ScramMechanism,
                                   UserScramCredentialUpsertion)
bootstrap, users = sys.argv[1], json.load(sys.stdin)
admin = AdminClient({"bootstrap.servers": bootstrap})
# A broker takes one mechanism of a user in a request.
for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
    answers = admin.alter_user_scram_credentials([
        UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), password.encode())
        for user, password in users.items()
    ])
    for answer in answers.values():
        answer.result()
`;

/**
 * Makes users of SCRAM-SHA-256 and SCRAM-SHA-512, or changes their passwords.
 *
 * @param bootstrap a listener whose user may do so
 * @param passwords by user
 */
export function addScramUsers(
  bootstrap: string,
  passwords: Readonly<Record<string, string>>,
): void {
  execFileSync(pythonExecutable, ["-c", SCRIPT, bootstrap], {
    input: JSON.stringify(passwords),
    stdio: ["pipe", "pipe", "pipe"],
  });
}
