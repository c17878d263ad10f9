"""Pycapa's consumer loop: pycapa_consumer.py BOOTSTRAP TOPIC > FILE

One poll() a record, one write and flush a frame, as Pycapa does it; ends at the end of every partition.
"""

import struct
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError


def main():
    bootstrap, topic = sys.argv[1:]
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "pycapa-" + topic,
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
    )
    partitions = len(consumer.list_topics(topic).topics[topic].partitions)

    def from_beginning(consumer, assigned):
        for partition in assigned:
            partition.offset = OFFSET_BEGINNING
        consumer.assign(assigned)

    consumer.subscribe([topic], on_assign=from_beginning)
    output = sys.stdout.buffer
    output.write(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    output.flush()
    ended = 0
    while ended < partitions:
        message = consumer.poll(timeout=3.0)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(message.error()))
            ended += 1
            continue
        micros = struct.unpack_from(">Q", message.key(), 0)[0]
        value = message.value()
        output.write(
            struct.pack("<IIII", micros // 1_000_000, micros % 1_000_000, len(value), len(value))
        )
        output.write(value)
        output.flush()
    consumer.close()


main()
