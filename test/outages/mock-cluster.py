"""librdkafka's mock cluster as a program: brokers that somebody else wrote, and faults that somebody else thought of.

  mock-cluster.py BROKERS TOPIC PARTITIONS

It takes the librdkafka that confluent-kafka brings along: those of distributions are older than the
versions of requests that Kafka has kept. Prints its bootstrap servers, then does what lines on standard
input say, and answers each with "ok":

  error API CODE        the next request of an API (0 Produce, 3 Metadata) is refused
  leader PARTITION ID   another broker leads
  down ID, up ID        a broker loses its connections, and listens again
  rtt ID MS             a broker answers so much later
"""

import ctypes
import glob
import os
import sys

import confluent_kafka

brokers, topic, partitions = int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
folder = os.path.join(os.path.dirname(confluent_kafka.__file__), os.pardir, "confluent_kafka.libs")
library = ctypes.CDLL(glob.glob(os.path.join(folder, "librdkafka*.so*"))[0])
for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
    getattr(library, name).restype = ctypes.c_void_p
library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p

PRODUCER = 0
error = ctypes.create_string_buffer(512)
settings = ctypes.c_void_p(library.rd_kafka_conf_new())
# It is no client: that it has no server to connect to is not to be said.
library.rd_kafka_conf_set(settings, b"log_level", b"2", error, ctypes.c_size_t(512))
client = ctypes.c_void_p(library.rd_kafka_new(PRODUCER, settings, error, ctypes.c_size_t(512)))
if not client:
    sys.exit(error.value.decode())
cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(client, brokers))
library.rd_kafka_mock_topic_create(cluster, topic, partitions, brokers)
print(library.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)

for line in sys.stdin:
    what, *rest = line.split()
    numbers = [int(word) for word in rest]
    if what == "error":
        api, code = numbers
        library.rd_kafka_mock_push_request_errors(
            cluster, ctypes.c_int16(api), ctypes.c_size_t(1), ctypes.c_int(code)
        )
    elif what == "leader":
        library.rd_kafka_mock_partition_set_leader(cluster, topic, *numbers)
    elif what == "down":
        library.rd_kafka_mock_broker_set_down(cluster, *numbers)
    elif what == "up":
        library.rd_kafka_mock_broker_set_up(cluster, *numbers)
    elif what == "rtt":
        library.rd_kafka_mock_broker_set_rtt(cluster, *numbers)
    else:
        sys.exit(f"what is {line}")
    print("ok", flush=True)
