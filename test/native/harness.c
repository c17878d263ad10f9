/*
 * Drives the capture engine without Node, under sanitizers: harness INTERFACE ROUNDS.
 *
 * Meanwhile somebody floods the interface with frames of 200 bytes that carry their number, 0 to 999
 * again and again, behind byte 42. Prints "done" when all held.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture.h"
#include "filter.h"
#include "interfaces.h"

#define BUFFERS 3
#define BUFFER_BYTES 8192
#define SNAP_LENGTH 128

static struct {
  pthread_mutex_t lock;
  uint8_t *filled[BUFFERS];
  unsigned given_first, given_count;
  uint8_t *given[BUFFERS];
  unsigned filled_count;
  uint64_t frames;
  bool has_ended;
  enum capture_end end;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

#define CHECK(condition)                                                                           \
  do {                                                                                             \
    if (!(condition)) {                                                                            \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                      \
      exit(1);                                                                                     \
    }                                                                                              \
  } while (0)

static void pause_ms(long milliseconds)
{
  struct timespec time = {0, milliseconds * 1000000};
  nanosleep(&time, NULL);
}

static uint32_t u32(const uint8_t *at)
{
  return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* On the capture's thread: records are whole, and their lengths right. */
static void deliver(void *context, size_t used, uint32_t frames)
{
  CHECK(context == &state);
  pthread_mutex_lock(&state.lock);
  CHECK(state.given_count > 0);
  uint8_t *bytes = state.given[state.given_first];
  state.given_first = (state.given_first + 1) % BUFFERS;
  state.given_count--;
  size_t at = 0;
  for (uint32_t n = 0; n < frames; n++) {
    CHECK(at + CAPTURE_HEADER_BYTES <= used);
    CHECK(u32(bytes + at + 4) < 1000000);
    CHECK(u32(bytes + at + 8) == SNAP_LENGTH && u32(bytes + at + 12) == 200);
    at += CAPTURE_HEADER_BYTES + SNAP_LENGTH;
  }
  CHECK(at == used && frames > 0);
  state.frames += frames;
  state.filled[state.filled_count++] = bytes;
  pthread_mutex_unlock(&state.lock);
}

static void end(void *context, enum capture_end how, const char *words)
{
  CHECK(context == &state && (how == CAPTURE_STOPPED) == (words[0] == '\0'));
  pthread_mutex_lock(&state.lock);
  state.has_ended = true;
  state.end = how;
  pthread_mutex_unlock(&state.lock);
}

static void give(struct capture *capture, uint8_t *buffer)
{
  pthread_mutex_lock(&state.lock);
  state.given[(state.given_first + state.given_count++) % BUFFERS] = buffer;
  pthread_mutex_unlock(&state.lock);
  CHECK(capture_give(capture, buffer, BUFFER_BYTES));
}

static void give_back(struct capture *capture)
{
  for (;;) {
    pthread_mutex_lock(&state.lock);
    uint8_t *buffer = state.filled_count > 0 ? state.filled[--state.filled_count] : NULL;
    pthread_mutex_unlock(&state.lock);
    if (buffer == NULL)
      return;
    give(capture, buffer);
  }
}

static bool has_frames(void)
{
  pthread_mutex_lock(&state.lock);
  bool has_some = state.frames > 0;
  pthread_mutex_unlock(&state.lock);
  return has_some;
}

static struct capture *open_capture(const char *interface)
{
  struct capture_options options = {
      .interface = interface,
      .snap_length = SNAP_LENGTH,
      .buffer_bytes = 4 << 20,
      .is_promiscuous = true,
      .dlt = -1,
  };
  struct capture_error error;
  struct capture *capture = capture_open(&options, &error);
  if (capture == NULL)
    fprintf(stderr, "%s: %s\n", capture_error_name(error.code), error.words);
  CHECK(capture != NULL);
  CHECK(capture_least_buffer(capture) == CAPTURE_HEADER_BYTES + SNAP_LENGTH);
  return capture;
}

static void check_round(const char *interface, int round)
{
  static const char *const EXCLUSIONS[] = {"", "udp src port 1030", "udp src portrange 1100-1300"};
  struct capture *capture = open_capture(interface);
  struct capture_error error;
  struct capture_sink sink = {&state, deliver, end};
  struct capture_stats stats;
  state.given_first = state.given_count = state.filled_count = 0;
  state.frames = 0;
  state.has_ended = false;
  CHECK(capture_start(capture, round % 2 == 0 ? "udp" : "", EXCLUSIONS[round % 3], &sink, &error));
  for (int n = 0; n < BUFFERS; n++)
    give(capture, malloc(BUFFER_BYTES));
  /* Between two floods nothing comes for a while. */
  for (int turn = 0; turn < 60 || !has_frames(); turn++) {
    give_back(capture);
    if (turn % 7 == 0)
      CHECK(capture_exclude(capture, EXCLUSIONS[turn % 3], &error));
    capture_stats(capture, &stats);
    CHECK(stats.received >= stats.dropped + stats.filtered);
    pause_ms(turn % 3);
  }
  CHECK(!capture_exclude(capture, "tcp port port", &error));
  CHECK(strstr(error.words, "syntax") != NULL);
  capture_stop(capture);
  CHECK(state.has_ended && state.end == CAPTURE_STOPPED);
  capture_stop(capture);
  capture_stats(capture, &stats);
  CHECK(state.frames > 0 && stats.received >= stats.dropped + stats.filtered + state.frames);
  while (state.filled_count > 0)
    free(state.filled[--state.filled_count]);
  for (; state.given_count > 0; state.given_count--) {
    free(state.given[state.given_first]);
    state.given_first = (state.given_first + 1) % BUFFERS;
  }
  capture_free(capture);
}

static void check_filters(void)
{
  struct bpf_program program;
  char words[PCAP_ERRBUF_SIZE];
  uint8_t records[2 * (16 + 64)] = {0};
  uint8_t verdicts[2];
  for (int n = 0; n < 2; n++) {
    uint8_t *at = records + n * 80;
    at[8] = at[12] = 64;
    at[16 + 12] = n == 0 ? 0x08 : 0x86;
    at[16 + 13] = n == 0 ? 0x00 : 0xdd;
    at[16 + 14] = n == 0 ? 0x45 : 0x60;
  }
  CHECK(filter_compile(&program, DLT_EN10MB, 262144, "ip6", words));
  CHECK(filter_match_records(&program, records, sizeof records, 2, false, verdicts) == 1);
  CHECK(verdicts[0] == 0 && verdicts[1] == 1);
  /* What claims more frames, or longer ones, than there are. */
  CHECK(filter_match_records(&program, records, sizeof records, 3, false, verdicts) == -1);
  CHECK(filter_match_records(&program, records, 100, 2, false, verdicts) == -1);
  CHECK(filter_match_records(&program, records, sizeof records, 1, true, verdicts) == -1);
  pcap.freecode(&program);
  CHECK(!filter_compile(&program, DLT_EN10MB, 262144, "inbound", words));
  CHECK(!filter_compile(&program, DLT_EN10MB, 262144, "ip6 and", words));
}

static void check_failures(void)
{
  struct capture_options options = {.interface = "no such", .snap_length = 64, .dlt = -1};
  struct capture_error error;
  CHECK(capture_open(&options, &error) == NULL);
  CHECK(strcmp(capture_error_name(error.code), "PCAP_ERROR_NO_SUCH_DEVICE") == 0);
  options.interface = "lo";
  options.dlt = 105;
  CHECK(capture_open(&options, &error) == NULL && error.code == CAPTURE_ERROR_LINK_TYPE);
  options.dlt = -1;
  options.time_stamp_type = "sundial";
  CHECK(capture_open(&options, &error) == NULL && error.code == CAPTURE_ERROR_TIME_STAMP_TYPE);
}

int main(int count, char **arguments)
{
  CHECK(count == 3 && pcap_library_load() == NULL);
  check_filters();
  check_failures();
  capture_free(open_capture(arguments[1]));
  for (int round = 0; round < atoi(arguments[2]); round++)
    check_round(arguments[1], round);
  puts("done");
  return 0;
}
