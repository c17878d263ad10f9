"""Pycapa's producer loop, fed from a pcap file: pycapa_producer.py BOOTSTRAP TOPIC FILE

One produce() and one poll(0) a frame, key of eight bytes, as Pycapa does it. Unlike Pycapa, a full
queue is waited for. Settings beyond librdkafka's defaults: acks and idempotence, as pcapts has them.
"""

import struct
import sys

from confluent_kafka import Producer


def frames(path):
    record = struct.Struct("<IIII")
    with open(path, "rb", buffering=1 << 20) as capture:
        capture.read(24)
        while header := capture.read(16):
            seconds, micros, captured, _ = record.unpack(header)
            yield seconds * 1_000_000 + micros, capture.read(captured)


def main():
    bootstrap, topic, path = sys.argv[1:]
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all"}
    )
    failed = 0

    def delivered(error, message):
        nonlocal failed
        if error is not None:
            failed += 1

    for micros, frame in frames(path):
        key = struct.pack(">Q", micros)
        while True:
            try:
                producer.produce(topic, key=key, value=frame, callback=delivered)
                break
            except BufferError:
                producer.poll(0.01)
        producer.poll(0)
    producer.flush()
    sys.exit(1 if failed else 0)


main()
