/*
 * One open interface: a thread of its own takes frames from libpcap and writes them, each behind the
 * 16-byte record header of a pcap file (little-endian), into buffers that are handed in.
 *
 *   capture_give(buffer) ──► queue ──► thread: pcap_dispatch ──► sink.deliver(bytes, frames)
 *
 * Without a buffer the thread does not read; the kernel's ring holds, and counts what it must drop.
 * All functions are for one caller's thread; the sink is called from the capture's own.
 */
#ifndef PCAPTS_CAPTURE_H
#define PCAPTS_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pcap-library.h"

/* How many buffers may wait at a time. */
#define CAPTURE_QUEUE_LENGTH 8

/* Bytes of a record header. */
#define CAPTURE_HEADER_BYTES 16

/* Beside libpcap's own. */
enum { CAPTURE_ERROR_FILTER = -1001, CAPTURE_ERROR_LINK_TYPE, CAPTURE_ERROR_TIME_STAMP_TYPE };

/* What went wrong: libpcap's code (PCAP_ERROR_…) or one of the above, and libpcap's words. */
struct capture_error {
  int code;
  char words[PCAP_ERRBUF_SIZE + 128];
};

struct capture_options {
  const char *interface;
  int snap_length;
  int buffer_bytes;
  bool is_promiscuous;
  bool is_immediate;
  /* Asked for; capture_facts says whether it is had. */
  bool is_nanosecond;
  /* DLT_ number, or -1 for the interface's own. */
  int dlt;
  /* libpcap's name of a time stamp type, or NULL. */
  const char *time_stamp_type;
};

struct capture_facts {
  int dlt;
  bool is_nanosecond;
  /* Of pcap_activate; "" when there is none. */
  char warning[PCAP_ERRBUF_SIZE + 128];
};

/* Since capture_start. */
struct capture_stats {
  /* Accepted by the kernel's filter, those that it dropped for want of room included. */
  uint64_t received;
  uint64_t dropped;
  uint64_t dropped_by_interface;
  /* Taken from the ring and left out by a filter here. */
  uint64_t filtered;
};

enum capture_end { CAPTURE_STOPPED, CAPTURE_GONE, CAPTURE_BROKEN };

struct capture_sink {
  void *context;
  /* The buffer that was given first is filled with `frames` frames, in `used` bytes. */
  void (*deliver)(void *context, size_t used, uint32_t frames);
  /* The last call; `words` is "" for CAPTURE_STOPPED. */
  void (*end)(void *context, enum capture_end end, const char *words);
};

struct capture;

/* Opens an interface; nothing is captured before capture_start. Returns NULL on failure. */
struct capture *capture_open(const struct capture_options *options, struct capture_error *error);

const struct capture_facts *capture_facts(const struct capture *capture);

/* The handle, to list link types of and compile for; not while the thread runs. */
pcap_t *capture_handle(struct capture *capture);

/*
 * Starts with frames that match `filter` ("" is every frame) and not `exclusion` ("" is none): they are
 * the first that are counted.
 */
bool capture_start(struct capture *capture, const char *filter, const char *exclusion,
                   const struct capture_sink *sink, struct capture_error *error);

/* From now on leaves out what matches `exclusion`, and no longer what the one before matched. */
bool capture_exclude(struct capture *capture, const char *exclusion, struct capture_error *error);

/* Bytes a buffer must have at least. */
size_t capture_least_buffer(const struct capture *capture);

/* Hands a buffer in; false when the queue is full. */
bool capture_give(struct capture *capture, uint8_t *data, size_t size);

void capture_stats(struct capture *capture, struct capture_stats *stats);

/* Ends the thread, closes the device. What was captured is delivered before. Safe repeatedly. */
void capture_stop(struct capture *capture);

/* Stops, and frees the memory. */
void capture_free(struct capture *capture);

/* The name of a PCAP_ERROR_… code, as in pcap.h. */
const char *capture_error_name(int code);

#endif
