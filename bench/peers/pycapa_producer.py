"""Pycapa's producer loop, fed from a pcap file or an interface:

    pycapa_producer.py BOOTSTRAP TOPIC FILE
    pycapa_producer.py BOOTSTRAP TOPIC -i INTERFACE

One produce() and one poll(0) a frame, key of eight bytes, as Pycapa does it. Unlike Pycapa, a full
queue is waited for. Settings beyond librdkafka's defaults: acks and idempotence, as pcapts has them.

An interface is captured from until SIGINT, as Pycapa does it: promiscuous, one next() of pcapy a frame, blocks
of frames half a second late at most; but with a ring of 64 MiB, and where there is no frame this waits
here and not in next(), which does not return for a signal. At the end libpcap's counts go to standard error.
"""

import select
import signal
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


def live_frames(interface):
    import pcapy

    stopping = False

    def stop(number, frame):
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    capture = pcapy.create(interface)
    capture.set_snaplen(65535)
    capture.set_promisc(True)
    capture.set_timeout(500)
    capture.set_buffer_size(64 << 20)
    capture.activate()
    capture.setnonblock(True)
    descriptor = capture.getfd()
    print("capturing", file=sys.stderr, flush=True)
    while not stopping:
        header, frame = capture.next()
        if header is None:
            select.select([descriptor], [], [], 0.5)
            continue
        seconds, micros = header.getts()
        yield seconds * 1_000_000 + micros, frame
    received, dropped, at_interface = capture.stats()
    print(
        f"received {received}, dropped by the kernel {dropped}, dropped by the interface {at_interface}",
        file=sys.stderr,
    )


def main():
    bootstrap, topic, *place = sys.argv[1:]
    source = live_frames(place[1]) if place[0] == "-i" else frames(place[0])
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all"}
    )
    failed = 0

    def delivered(error, message):
        nonlocal failed
        if error is not None:
            failed += 1

    for micros, frame in source:
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
