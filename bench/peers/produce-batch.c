/*
 * A capture file into a topic, as a specialist would write it over librdkafka:
 *
 *   produce-batch BOOTSTRAP TOPIC FILE [PROPERTY=VALUE ...]
 *
 * - The file is mapped once and read in place, by this program rather than by libpcap; messages point
 *   into the mapping, so no frame is copied on its way to the socket. (librdkafka copies keys itself: 8
 *   bytes each, from one array that is filled anew for each block.)
 * - rd_kafka_produce_batch() takes blocks of 1,000 frames for one partition, the partitions in turn:
 *   cheaper than any hash and than librdkafka's own partitioner.
 * - A block is handed over only when the queue has room for all of it, so none is half accepted and order is kept.
 *   (RD_KAFKA_MSG_F_BLOCK would wait inside librdkafka, but with 2.0.2 one run in fifty never woke up again.)
 *
 * Settings beyond acks=all and enable.idempotence=true, which every program of the comparison has:
 *   delivery.report.only.error=true           nothing is handed back for a frame that arrived; failures still are
 *   queue.buffering.max.messages=1000000      ten times the default: the reader seldom waits
 *   queue.buffering.max.kbytes=2097151        so that the number above decides
 *   batch.num.messages=1000000                so that batch.size decides, for short frames, too
 *   batch.size=1000000, message.max.bytes=1000000   the defaults: as large as a default topic takes
 *   linger.ms=50                              full batches; costs at most 50 ms at the end
 * Fair, because each trades memory or delay for speed and none weakens delivery. Smaller queues were not faster.
 *
 * The mapped file counts as this program's memory.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1000 };

static uint64_t failed;

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client;
  (void)opaque;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) failed++;
}

static void fail(const char *what, const char *reason) {
  fprintf(stderr, "produce-batch: %s: %s\n", what, reason);
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

static int number_of(rd_kafka_conf_t *conf, const char *name) {
  char value[32];
  size_t size = sizeof value;
  if (rd_kafka_conf_get(conf, name, value, &size) != RD_KAFKA_CONF_OK) fail(name, "cannot be read");
  return atoi(value);
}

static int partitions_of(rd_kafka_t *client, rd_kafka_topic_t *topic) {
  const struct rd_kafka_metadata *metadata;
  rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, topic, &metadata, 30 * 1000);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) fail("rd_kafka_metadata", rd_kafka_err2str(error));
  int partitions = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
  rd_kafka_metadata_destroy(metadata);
  if (partitions == 0) fail("rd_kafka_metadata", "no such topic");
  return partitions;
}

int main(int argc, char **argv) {
  if (argc < 4) fail("usage", "produce-batch BOOTSTRAP TOPIC FILE [PROPERTY=VALUE ...]");

  char reason[512];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", argv[1]);
  set(conf, "acks", "all");
  set(conf, "enable.idempotence", "true");
  set(conf, "delivery.report.only.error", "true");
  set(conf, "queue.buffering.max.messages", "1000000");
  set(conf, "queue.buffering.max.kbytes", "2097151");
  set(conf, "batch.num.messages", "1000000");
  set(conf, "linger.ms", "50");
  for (int i = 4; i < argc; i++) set_argument(conf, argv[i]);
  int queue_messages = number_of(conf, "queue.buffering.max.messages");
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
  if (client == NULL) fail("rd_kafka_new", reason);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(client, argv[2], NULL);
  if (topic == NULL) fail(argv[2], rd_kafka_err2str(rd_kafka_last_error()));
  int partitions = partitions_of(client, topic);
  const int most_queued = queue_messages - BLOCK;

  int file = open(argv[3], O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0 || status.st_size < 24) fail(argv[3], "cannot be read");
  const uint8_t *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  if (bytes == MAP_FAILED) fail(argv[3], "cannot be mapped");
  madvise((void *)bytes, (size_t)status.st_size, MADV_SEQUENTIAL);
  const uint8_t *end = bytes + status.st_size;
  uint32_t magic;
  memcpy(&magic, bytes, sizeof magic);
  if (magic != 0xa1b2c3d4) fail(argv[3], "not a capture with microseconds in this machine's byte order");

  static rd_kafka_message_t messages[BLOCK];
  static uint64_t keys[BLOCK];
  const uint8_t *at = bytes + 24;
  for (int partition = 0; at < end; partition = (partition + 1) % partitions) {
    int count = 0;
    while (count < BLOCK && at < end) {
      uint32_t header[4]; /* seconds, microseconds, captured bytes, bytes on the wire */
      if (end - at < (ptrdiff_t)sizeof header) fail(argv[3], "ends within a frame");
      memcpy(header, at, sizeof header);
      at += sizeof header;
      if (end - at < (ptrdiff_t)header[2]) fail(argv[3], "ends within a frame");
      keys[count] = __builtin_bswap64((uint64_t)header[0] * 1000000 + header[1]);
      messages[count] = (rd_kafka_message_t){
          .payload = (void *)at, .len = header[2], .key = &keys[count], .key_len = sizeof keys[count]};
      at += header[2];
      count++;
    }
    while (rd_kafka_outq_len(client) > most_queued) rd_kafka_poll(client, 1);
    if (rd_kafka_produce_batch(topic, partition, 0, messages, count) != count) {
      for (int i = 0; i < count; i++)
        if (messages[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
          fail("rd_kafka_produce_batch", rd_kafka_err2str(messages[i].err));
    }
    rd_kafka_poll(client, 0);
  }

  rd_kafka_resp_err_t flushed = rd_kafka_flush(client, 600 * 1000);
  if (flushed != RD_KAFKA_RESP_ERR_NO_ERROR) fail("rd_kafka_flush", rd_kafka_err2str(flushed));
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(client);
  if (failed > 0) {
    fprintf(stderr, "produce-batch: %" PRIu64 " frames were not delivered\n", failed);
    return 1;
  }
  return 0;
}
