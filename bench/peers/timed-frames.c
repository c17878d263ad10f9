/*
 * Frames that carry the time they were sent at, and their reader:
 *
 *   timed-frames send INTERFACE FRAMES_PER_SECOND SECONDS BYTES FLOWS
 *   timed-frames read FRAMES < FILE.pcap
 *
 * The sender writes IPv4 and UDP of 1 to 256 flows to a packet socket, each frame when its time has come; the
 * payload begins with MAGIC and the monotonic clock, which all processes of a machine share, read just
 * before. It prints how many it sent, and how late the latest was.
 *
 * The reader takes little-endian pcap from standard input and its own clock each time that read() gave something, until it
 * has that many frames or the input ends. It prints how many came, and in milliseconds the 50th and 99th
 * percentile and the largest of the time between the two, as JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x7063617074735f31u
#define PAYLOAD_AT (14 + 20 + 8)
#define FILE_HEADER_BYTES 24
#define RECORD_HEADER_BYTES 16
#define WINDOW_BYTES (4u << 20)

struct stamp {
  uint64_t magic;
  uint64_t sent_ns;
};

static void fail(const char *what) {
  fprintf(stderr, "timed-frames: %s: %s\n", what, errno == 0 ? "invalid" : strerror(errno));
  exit(1);
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put16(uint8_t *at, unsigned value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static unsigned sum_of(const uint8_t *bytes, int length) {
  unsigned sum = 0;
  for (int at = 0; at < length; at += 2) sum += (unsigned)bytes[at] << 8 | bytes[at + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

/* Addresses 10.0.0.FLOW and 192.168.0.1; a UDP checksum of zero means that there is none. */
static void fill_headers(uint8_t *frame, unsigned bytes, unsigned flow) {
  static const uint8_t ends[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
  static const uint8_t addresses[] = {10, 0, 0, 0, 192, 168, 0, 1};
  uint8_t *ip = frame + 14, *udp = ip + 20;
  memset(frame, 0, PAYLOAD_AT);
  memcpy(frame, ends, sizeof ends);
  put16(frame + 12, ETHERTYPE_IP);
  ip[0] = 0x45;
  put16(ip + 2, bytes - 14);
  ip[8] = 64;
  ip[9] = 17;
  memcpy(ip + 12, addresses, sizeof addresses);
  ip[15] = (uint8_t)flow;
  put16(ip + 10, ~sum_of(ip, 20) & 0xffff);
  put16(udp, 32768 + flow);
  put16(udp + 2, 9);
  put16(udp + 4, bytes - 34);
}

static void send_frames(const char *interface, unsigned rate, unsigned seconds, unsigned bytes, unsigned flows) {
  if (flows == 0 || flows > 256) fail("flows");
  if (rate == 0 || bytes < PAYLOAD_AT + sizeof(struct stamp) || bytes > 1514) fail("rate or bytes");
  int out = socket(AF_PACKET, SOCK_RAW, 0);
  if (out < 0) fail("socket");
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface)};
  if (to.sll_ifindex == 0) fail(interface);
  uint8_t frame[1514] = {0};
  uint64_t frames = (uint64_t)rate * seconds, begin = now_ns(), latest = 0;
  for (uint64_t index = 0; index < frames; index++) {
    uint64_t due = begin + index * 1000000000u / rate;
    struct timespec at = {.tv_sec = (time_t)(due / 1000000000u), .tv_nsec = (long)(due % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0) continue;
    fill_headers(frame, bytes, (unsigned)(index % flows));
    struct stamp stamp = {MAGIC, now_ns()};
    memcpy(frame + PAYLOAD_AT, &stamp, sizeof stamp);
    if (stamp.sent_ns - due > latest) latest = stamp.sent_ns - due;
    if (sendto(out, frame, bytes, 0, (struct sockaddr *)&to, sizeof to) != (ssize_t)bytes) fail("sendto");
  }
  printf("{\"frames\": %" PRIu64 ", \"latestMs\": %.3f}\n", frames, (double)latest / 1e6);
}

static int compare(const void *left, const void *right) {
  uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

static double milliseconds(const uint64_t *sorted, uint64_t count, double share) {
  uint64_t rank = (uint64_t)((double)count * share);
  return (double)sorted[rank < count ? rank : count - 1] / 1e6;
}

static void read_frames(uint64_t wanted) {
  uint8_t *window = malloc(WINDOW_BYTES);
  uint64_t *delays = malloc((wanted + 1) * sizeof *delays);
  if (window == NULL || delays == NULL) fail("malloc");
  uint64_t count = 0;
  size_t held = 0, skip = FILE_HEADER_BYTES;
  while (count < wanted) {
    ssize_t got = read(0, window + held, WINDOW_BYTES - held);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read");
    if (got == 0) break;
    uint64_t now = now_ns();
    held += (size_t)got;
    size_t at = 0;
    if (held < skip) continue;
    at += skip;
    skip = 0;
    while (at + RECORD_HEADER_BYTES <= held && count < wanted) {
      uint32_t length;
      memcpy(&length, window + at + 8, sizeof length);
      size_t next = at + RECORD_HEADER_BYTES + length;
      if (next > held) break;
      struct stamp stamp;
      if (length >= PAYLOAD_AT + sizeof stamp) {
        memcpy(&stamp, window + at + RECORD_HEADER_BYTES + PAYLOAD_AT, sizeof stamp);
        if (stamp.magic == MAGIC) delays[count++] = now - stamp.sent_ns;
      }
      at = next;
    }
    memmove(window, window + at, held - at);
    held -= at;
    if (held == WINDOW_BYTES) fail("a frame that is larger than the window");
  }
  if (count == 0) {
    printf("{\"frames\": 0}\n");
    return;
  }
  qsort(delays, count, sizeof *delays, compare);
  printf("{\"frames\": %" PRIu64 ", \"p50Ms\": %.3f, \"p99Ms\": %.3f, \"maxMs\": %.3f}\n", count,
         milliseconds(delays, count, 0.5), milliseconds(delays, count, 0.99), (double)delays[count - 1] / 1e6);
}

int main(int argc, char **argv) {
  if (argc == 7 && strcmp(argv[1], "send") == 0)
    send_frames(argv[2], (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]), (unsigned)atoi(argv[5]),
                (unsigned)atoi(argv[6]));
  else if (argc == 3 && strcmp(argv[1], "read") == 0)
    read_frames(strtoull(argv[2], NULL, 10));
  else {
    fprintf(stderr, "usage: timed-frames send INTERFACE FRAMES_PER_SECOND SECONDS BYTES FLOWS | read FRAMES\n");
    return 2;
  }
  return 0;
}
