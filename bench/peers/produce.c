/*
 * A capture file into a topic, as most programs over libpcap and librdkafka do it:
 *
 *   produce BOOTSTRAP TOPIC FILE [PROPERTY=VALUE ...]
 *
 * One pcap_next_ex(), one rd_kafka_produce() and one rd_kafka_poll(0) a frame. librdkafka copies the
 * frame; when its queue is full the program polls and tries again; at the end it flushes. A delivery
 * report callback counts what failed, as every example of librdkafka has one.
 *
 * Settings: acks=all and enable.idempotence=true, as every program of the comparison has them, and
 * librdkafka's defaults for the rest (linger.ms=5, batch.size=1000000, 100,000 messages or 1 GiB in
 * the queue, no compression, the key's CRC-32 chooses the partition).
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t failed;

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
  (void)client;
  (void)opaque;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) failed++;
}

static void fail(const char *what, const char *reason) {
  fprintf(stderr, "produce: %s: %s\n", what, reason);
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

static void key_of(uint8_t key[8], uint64_t micros) {
  for (int i = 0; i < 8; i++) key[i] = (uint8_t)(micros >> (56 - 8 * i));
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    printf("librdkafka %s, %s\n", rd_kafka_version_str(), pcap_lib_version());
    return 0;
  }
  if (argc < 4) fail("usage", "produce BOOTSTRAP TOPIC FILE [PROPERTY=VALUE ...]");

  char reason[512];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", argv[1]);
  set(conf, "acks", "all");
  set(conf, "enable.idempotence", "true");
  for (int i = 4; i < argc; i++) set_argument(conf, argv[i]);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
  if (client == NULL) fail("rd_kafka_new", reason);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(client, argv[2], NULL);
  if (topic == NULL) fail(argv[2], rd_kafka_err2str(rd_kafka_last_error()));

  char pcap_reason[PCAP_ERRBUF_SIZE];
  pcap_t *capture = pcap_open_offline(argv[3], pcap_reason);
  if (capture == NULL) fail(argv[3], pcap_reason);

  struct pcap_pkthdr *header;
  const u_char *frame;
  int got;
  while ((got = pcap_next_ex(capture, &header, &frame)) == 1) {
    uint8_t key[8];
    key_of(key, (uint64_t)header->ts.tv_sec * 1000000 + (uint64_t)header->ts.tv_usec);
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)frame, header->caplen, key,
                            sizeof key, NULL) != 0) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        fail("rd_kafka_produce", rd_kafka_err2str(rd_kafka_last_error()));
      rd_kafka_poll(client, 10);
    }
    rd_kafka_poll(client, 0);
  }
  if (got != PCAP_ERROR_BREAK) fail(argv[3], pcap_geterr(capture));
  pcap_close(capture);

  rd_kafka_resp_err_t flushed = rd_kafka_flush(client, 600 * 1000);
  if (flushed != RD_KAFKA_RESP_ERR_NO_ERROR) fail("rd_kafka_flush", rd_kafka_err2str(flushed));
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(client);
  if (failed > 0) {
    fprintf(stderr, "produce: %" PRIu64 " frames were not delivered\n", failed);
    return 1;
  }
  return 0;
}
