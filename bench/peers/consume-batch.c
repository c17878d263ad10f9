/*
 * A topic out as pcap, as a specialist would write it over librdkafka:
 *
 *   consume-batch BOOTSTRAP TOPIC [PROPERTY=VALUE ...] > FILE
 *
 * All partitions feed one queue (the "simple" consumer: no group, nothing committed); each
 * rd_kafka_consume_batch_queue() takes up to 10,000 messages at once; pcap records are put together in one
 * buffer of 1 MiB, written when it is full. Ends at the end of every partition.
 *
 * Settings beyond librdkafka's defaults:
 *   enable.partition.eof=true              tells the end
 *   queued.min.messages=1000000            ten times the default: fetching goes on while this program writes
 *   queued.max.messages.kbytes=262144      so that the number above decides
 *   fetch.wait.max.ms=10                   the end is known by an empty answer, which a broker holds back so long
 * Fair, because each trades memory or requests for speed. A larger fetch.message.max.bytes was slower. Checksums are not verified, which is librdkafka's default
 * (check.crcs=false).
 */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 10000, BUFFER_BYTES = 1 << 20 };

static void fail(const char *what, const char *reason) {
  fprintf(stderr, "consume-batch: %s: %s\n", what, reason);
  exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char reason[512];
  if (rd_kafka_conf_set(conf, name, value, reason, sizeof reason) != RD_KAFKA_CONF_OK) fail(name, reason);
}

/* PROPERTY=VALUE over the settings above. */
static void set_argument(rd_kafka_conf_t *conf, char *argument) {
  char *value = strchr(argument, '=');
  if (value == NULL) fail(argument, "expected PROPERTY=VALUE");
  *value = '\0';
  set(conf, argument, value + 1);
}

static uint8_t buffer[BUFFER_BYTES];
static size_t used;

static void write_fully(const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, bytes, length);
    if (written < 0) fail("write", strerror(errno));
    bytes += written;
    length -= (size_t)written;
  }
}

static void put(const void *bytes, size_t length) {
  if (used + length > sizeof buffer) {
    write_fully(buffer, used);
    used = 0;
  }
  if (length > sizeof buffer) {
    write_fully(bytes, length);
    return;
  }
  memcpy(buffer + used, bytes, length);
  used += length;
}

static void put_frame(const rd_kafka_message_t *message) {
  uint64_t key;
  if (message->key_len != sizeof key) fail("key", "is not 8 bytes");
  memcpy(&key, message->key, sizeof key);
  uint64_t micros = __builtin_bswap64(key);
  uint32_t length = (uint32_t)message->len;
  uint32_t header[4] = {(uint32_t)(micros / 1000000), (uint32_t)(micros % 1000000), length, length};
  put(header, sizeof header);
  put(message->payload, message->len);
}

int main(int argc, char **argv) {
  if (argc < 3) fail("usage", "consume-batch BOOTSTRAP TOPIC [PROPERTY=VALUE ...] > FILE");

  char reason[512];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", argv[1]);
  set(conf, "enable.partition.eof", "true");
  set(conf, "queued.min.messages", "1000000");
  set(conf, "queued.max.messages.kbytes", "262144");
  set(conf, "fetch.wait.max.ms", "10");
  for (int i = 3; i < argc; i++) set_argument(conf, argv[i]);
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
  if (client == NULL) fail("rd_kafka_new", reason);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(client, argv[2], NULL);
  if (topic == NULL) fail(argv[2], rd_kafka_err2str(rd_kafka_last_error()));

  const struct rd_kafka_metadata *metadata;
  rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, topic, &metadata, 30 * 1000);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail("rd_kafka_metadata", rd_kafka_err2str(error));
  int partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
  rd_kafka_metadata_destroy(metadata);
  if (partitions == 0) fail("rd_kafka_metadata", "no such topic");

  rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
  for (int partition = 0; partition < partitions; partition++) {
    if (rd_kafka_consume_start_queue(topic, partition, RD_KAFKA_OFFSET_BEGINNING, queue) != 0)
      fail("rd_kafka_consume_start_queue", rd_kafka_err2str(rd_kafka_last_error()));
  }

  const uint32_t file_header[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 262144, 1};
  put(file_header, sizeof file_header);
  static rd_kafka_message_t *messages[BATCH];
  int ended = 0;
  while (ended < partitions) {
    ssize_t count = rd_kafka_consume_batch_queue(queue, 100, messages, BATCH);
    if (count < 0) fail("rd_kafka_consume_batch_queue", rd_kafka_err2str(rd_kafka_last_error()));
    for (ssize_t i = 0; i < count; i++) {
      if (messages[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        put_frame(messages[i]);
      else if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        ended++;
      else
        fail("message", rd_kafka_message_errstr(messages[i]));
      rd_kafka_message_destroy(messages[i]);
    }
  }
  write_fully(buffer, used);

  for (int partition = 0; partition < partitions; partition++) rd_kafka_consume_stop(topic, partition);
  rd_kafka_queue_destroy(queue);
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(client);
  return 0;
}
