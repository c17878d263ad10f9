/*
 * A capture file or an interface into a topic, as most programs over libpcap and librdkafka do it:
 *
 *   produce BOOTSTRAP TOPIC FILE [PROPERTY=VALUE ...]
 *   produce BOOTSTRAP TOPIC -i INTERFACE [PROPERTY=VALUE ...]
 *
 * A file: one pcap_next_ex() a frame. An interface, until SIGINT: pcap_dispatch(), ring of 64 MiB,
 * promiscuous; at the end libpcap's counts go to standard error. Then one rd_kafka_produce() and one
 * rd_kafka_poll(0) a frame. librdkafka copies the frame; when its queue is full the program polls and tries again; at the end it flushes. A delivery
 * report callback counts what failed, as every example of librdkafka has one.
 *
 * Settings: acks=all and enable.idempotence=true, as every program of the comparison has them, and
 * librdkafka's defaults for the rest (linger.ms=5, batch.size=1000000, 100,000 messages or 1 GiB in
 * the queue, no compression, the key's CRC-32 chooses the partition).
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING_BYTES (64 << 20)
#define SNAPLEN 65535
/* As long as the kernel may keep a block of frames that is not full. */
#define TIMEOUT_MS 10

/* What a frame is published with. */
struct publisher {
  rd_kafka_t *client;
  rd_kafka_topic_t *topic;
};

static uint64_t failed;
static pcap_t *capture;
static volatile sig_atomic_t stopping;

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

static void publish(u_char *opaque, const struct pcap_pkthdr *header, const u_char *frame) {
  struct publisher *to = (struct publisher *)opaque;
  uint8_t key[8];
  key_of(key, (uint64_t)header->ts.tv_sec * 1000000 + (uint64_t)header->ts.tv_usec);
  while (rd_kafka_produce(to->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)frame, header->caplen, key,
                          sizeof key, NULL) != 0) {
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
      fail("rd_kafka_produce", rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_poll(to->client, 10);
  }
  rd_kafka_poll(to->client, 0);
}

static void on_interrupt(int number) {
  (void)number;
  stopping = 1;
  pcap_breakloop(capture);
}

static void publish_file(const char *file, struct publisher *to) {
  char reason[PCAP_ERRBUF_SIZE];
  capture = pcap_open_offline(file, reason);
  if (capture == NULL) fail(file, reason);
  struct pcap_pkthdr *header;
  const u_char *frame;
  int got;
  while ((got = pcap_next_ex(capture, &header, &frame)) == 1) publish((u_char *)to, header, frame);
  if (got != PCAP_ERROR_BREAK) fail(file, pcap_geterr(capture));
}

static void publish_interface(const char *interface, struct publisher *to) {
  char reason[PCAP_ERRBUF_SIZE];
  capture = pcap_create(interface, reason);
  if (capture == NULL) fail(interface, reason);
  pcap_set_snaplen(capture, SNAPLEN);
  pcap_set_promisc(capture, 1);
  pcap_set_timeout(capture, TIMEOUT_MS);
  pcap_set_buffer_size(capture, RING_BYTES);
  if (pcap_activate(capture) < 0) fail(interface, pcap_geterr(capture));
  struct sigaction action = {.sa_handler = on_interrupt};
  sigaction(SIGINT, &action, NULL);
  fprintf(stderr, "capturing\n");
  while (!stopping) {
    int got = pcap_dispatch(capture, -1, publish, (u_char *)to);
    if (got < 0 && got != PCAP_ERROR_BREAK) fail(interface, pcap_geterr(capture));
    rd_kafka_poll(to->client, 0);
  }
  struct pcap_stat counts;
  if (pcap_stats(capture, &counts) != 0) fail(interface, pcap_geterr(capture));
  fprintf(stderr, "received %u, dropped by the kernel %u, dropped by the interface %u\n", counts.ps_recv,
          counts.ps_drop, counts.ps_ifdrop);
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--version") == 0) {
    printf("librdkafka %s, %s\n", rd_kafka_version_str(), pcap_lib_version());
    return 0;
  }
  int live = argc > 3 && strcmp(argv[3], "-i") == 0;
  int options = live ? 5 : 4;
  if (argc < options) fail("usage", "produce BOOTSTRAP TOPIC FILE|-i INTERFACE [PROPERTY=VALUE ...]");

  char reason[512];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", argv[1]);
  set(conf, "acks", "all");
  set(conf, "enable.idempotence", "true");
  for (int i = options; i < argc; i++) set_argument(conf, argv[i]);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
  if (client == NULL) fail("rd_kafka_new", reason);
  rd_kafka_topic_t *topic = rd_kafka_topic_new(client, argv[2], NULL);
  if (topic == NULL) fail(argv[2], rd_kafka_err2str(rd_kafka_last_error()));

  struct publisher to = {client, topic};
  if (live)
    publish_interface(argv[4], &to);
  else
    publish_file(argv[3], &to);
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
