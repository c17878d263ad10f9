#include "capture.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "filter.h"
#include "glibc-floor.h"

/* How long the kernel collects frames before it hands a block over that is not full. */
#define BLOCK_TIMEOUT_MS 10
/* How long frames of a block that is not handed over yet are waited for; several time-outs. */
#define SETTLE_MS 200
/* Most frames of one dispatch, for when a filter here lets none of them through. */
#define DISPATCH_FRAMES 8192
/* How long a silent device is trusted to be there still: an error that says it is not is given out once. */
#define IDLE_CHECK_MS 1000
/* pcap_stat counts in 32 bits: a minute at the highest rate is far below that. */
#define STATS_INTERVAL_MS 60000
/* The kernel may still judge a few frames by the filter before. */
#define FILTER_SLACK_FRAMES 64

struct buffer {
  uint8_t *data;
  size_t size;
};

struct capture {
  pcap_t *pcap;
  struct capture_facts facts;
  int snap_length;
  /* A socket of AF_PACKET: its kernel filter and its counters are exact. */
  bool is_packet_socket;
  bool is_cooked;
  int pcap_fd;
  int wake_fd;
  char *filter;
  struct capture_sink sink;

  pthread_t thread;
  bool has_thread;
  atomic_bool is_stopping;

  /* libpcap's handle and what follows; `gate` is held while waiting, so that turns are fair. */
  pthread_mutex_t gate;
  pthread_mutex_t handle;
  /* What the kernel cannot run, and what it had not yet been told for frames in the ring. */
  struct bpf_program user_filter;
  struct bpf_program exclusion;
  /* Frames up to this one are held against `exclusion`. */
  uint64_t exclusion_until;
  /* Frames taken from the ring since the start. */
  uint64_t seen;
  struct capture_stats stats;
  struct pcap_stat last_stat;
  int64_t stats_at_ms;

  pthread_mutex_t queue_lock;
  struct buffer queue[CAPTURE_QUEUE_LENGTH];
  unsigned queue_first;
  unsigned queue_length;

  /* The thread's own. */
  struct buffer buffer;
  size_t used;
  uint32_t frames;
  bool is_full;
};

static int64_t now_ms(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void use_handle(struct capture *capture)
{
  pthread_mutex_lock(&capture->gate);
  pthread_mutex_lock(&capture->handle);
  pthread_mutex_unlock(&capture->gate);
}

static void leave_handle(struct capture *capture)
{
  pthread_mutex_unlock(&capture->handle);
}

/* ---- opening ---------------------------------------------------------------------------------- */

const char *capture_error_name(int code)
{
  switch (code) {
  case PCAP_ERROR_NO_SUCH_DEVICE:
    return "PCAP_ERROR_NO_SUCH_DEVICE";
  case PCAP_ERROR_IFACE_NOT_UP:
    return "PCAP_ERROR_IFACE_NOT_UP";
  case PCAP_ERROR_PERM_DENIED:
    return "PCAP_ERROR_PERM_DENIED";
  case PCAP_ERROR_PROMISC_PERM_DENIED:
    return "PCAP_ERROR_PROMISC_PERM_DENIED";
  case PCAP_ERROR_CANTSET_TSTAMP_TYPE:
    return "PCAP_ERROR_CANTSET_TSTAMP_TYPE";
  case PCAP_ERROR_RFMON_NOTSUP:
    return "PCAP_ERROR_RFMON_NOTSUP";
  case CAPTURE_ERROR_FILTER:
    return "FILTER";
  case CAPTURE_ERROR_LINK_TYPE:
    return "LINK_TYPE";
  case CAPTURE_ERROR_TIME_STAMP_TYPE:
    return "TIME_STAMP_TYPE";
  default:
    return "PCAP_ERROR";
  }
}

static void fail(struct capture_error *error, int code, const char *words)
{
  error->code = code;
  snprintf(error->words, sizeof error->words, "%s", words);
}

/* What pcap_activate says: its code in words, and what it knows beyond that. */
static void describe_status(char *text, size_t size, pcap_t *handle, int status)
{
  const char *known = pcap.geterr(handle);
  bool is_general = status == PCAP_ERROR || status == PCAP_WARNING;
  if (is_general)
    snprintf(text, size, "%s", known);
  else if (known[0] == '\0')
    snprintf(text, size, "%s", pcap.statustostr(status));
  else
    snprintf(text, size, "%s (%s)", pcap.statustostr(status), known);
}

static bool set_time_stamps(pcap_t *handle, const struct capture_options *options,
                            struct capture_error *error)
{
  if (options->is_nanosecond && pcap.set_tstamp_precision != NULL)
    pcap.set_tstamp_precision(handle, PCAP_TSTAMP_PRECISION_NANO);
  if (options->time_stamp_type == NULL)
    return true;
  int type = PCAP_ERROR;
  if (pcap.tstamp_type_name_to_val != NULL && pcap.set_tstamp_type != NULL)
    type = pcap.tstamp_type_name_to_val(options->time_stamp_type);
  if (type < 0) {
    fail(error, CAPTURE_ERROR_TIME_STAMP_TYPE, "libpcap knows no such time stamp type");
    return false;
  }
  int status = pcap.set_tstamp_type(handle, type);
  if (status == 0)
    return true;
  fail(error, CAPTURE_ERROR_TIME_STAMP_TYPE, pcap.statustostr(status));
  return false;
}

static bool set_link_type(pcap_t *handle, int dlt, struct capture_error *error)
{
  if (dlt < 0 || pcap.datalink(handle) == dlt || pcap.set_datalink(handle, dlt) == 0)
    return true;
  fail(error, CAPTURE_ERROR_LINK_TYPE, pcap.geterr(handle));
  return false;
}

static pcap_t *open_handle(const struct capture_options *options, struct capture_facts *facts,
                           struct capture_error *error)
{
  char words[PCAP_ERRBUF_SIZE] = "";
  pcap_t *handle = pcap.create(options->interface, words);
  if (handle == NULL) {
    fail(error, PCAP_ERROR, words);
    return NULL;
  }
  pcap.set_snaplen(handle, options->snap_length);
  pcap.set_promisc(handle, options->is_promiscuous);
  pcap.set_timeout(handle, BLOCK_TIMEOUT_MS);
  pcap.set_buffer_size(handle, options->buffer_bytes);
  if (options->is_immediate && pcap.set_immediate_mode != NULL)
    pcap.set_immediate_mode(handle, 1);
  if (!set_time_stamps(handle, options, error)) {
    pcap.close(handle);
    return NULL;
  }
  int status = pcap.activate(handle);
  if (status < 0) {
    error->code = status;
    describe_status(error->words, sizeof error->words, handle, status);
    pcap.close(handle);
    return NULL;
  }
  if (status > 0)
    describe_status(facts->warning, sizeof facts->warning, handle, status);
  if (!set_link_type(handle, options->dlt, error)) {
    pcap.close(handle);
    return NULL;
  }
  if (pcap.setnonblock(handle, 1, words) != 0) {
    fail(error, PCAP_ERROR, words);
    pcap.close(handle);
    return NULL;
  }
  facts->dlt = pcap.datalink(handle);
  facts->is_nanosecond = pcap.get_tstamp_precision != NULL &&
                         pcap.get_tstamp_precision(handle) == PCAP_TSTAMP_PRECISION_NANO;
  return handle;
}

static int socket_option(int fd, int option)
{
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

struct capture *capture_open(const struct capture_options *options, struct capture_error *error)
{
  struct capture *capture = calloc(1, sizeof *capture);
  if (capture == NULL) {
    fail(error, PCAP_ERROR, "out of memory");
    return NULL;
  }
  pthread_mutex_init(&capture->gate, NULL);
  pthread_mutex_init(&capture->handle, NULL);
  pthread_mutex_init(&capture->queue_lock, NULL);
  capture->snap_length = options->snap_length;
  capture->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (capture->wake_fd < 0)
    fail(error, PCAP_ERROR, strerror(errno));
  else
    capture->pcap = open_handle(options, &capture->facts, error);
  if (capture->pcap == NULL) {
    capture_free(capture);
    return NULL;
  }
  capture->pcap_fd = pcap.get_selectable_fd(capture->pcap);
  int fd = pcap.fileno(capture->pcap);
  /* Programs that are started later shall not hold the capture open. */
  if (fd >= 0)
    ioctl(fd, FIOCLEX);
  capture->is_packet_socket = fd >= 0 && socket_option(fd, SO_DOMAIN) == AF_PACKET;
  capture->is_cooked = capture->is_packet_socket && socket_option(fd, SO_TYPE) == SOCK_DGRAM;
  /* Nothing piles up while the caller gets ready. */
  if (capture->is_packet_socket)
    filter_attach_reject_all(fd);
  return capture;
}

const struct capture_facts *capture_facts(const struct capture *capture)
{
  return &capture->facts;
}

pcap_t *capture_handle(struct capture *capture)
{
  return capture->pcap;
}

size_t capture_least_buffer(const struct capture *capture)
{
  return CAPTURE_HEADER_BYTES + (size_t)capture->snap_length;
}

/* ---- counters --------------------------------------------------------------------------------- */

/* Adds what came since the last time. The handle is the caller's. */
static void update_stats(struct capture *capture)
{
  struct pcap_stat stat;
  if (capture->pcap == NULL || pcap.stats(capture->pcap, &stat) != 0)
    return;
  struct capture_stats *stats = &capture->stats;
  stats->received += (uint32_t)(stat.ps_recv - capture->last_stat.ps_recv);
  stats->dropped += (uint32_t)(stat.ps_drop - capture->last_stat.ps_drop);
  /* Of a device that is removed libpcap reads 0: not a drop of as many as it had counted before. */
  int32_t interface_drops = (int32_t)(stat.ps_ifdrop - capture->last_stat.ps_ifdrop);
  if (interface_drops > 0)
    stats->dropped_by_interface += (uint32_t)interface_drops;
  capture->last_stat = stat;
  capture->stats_at_ms = now_ms();
}

void capture_stats(struct capture *capture, struct capture_stats *stats)
{
  use_handle(capture);
  if (capture->has_thread)
    update_stats(capture);
  *stats = capture->stats;
  leave_handle(capture);
}

/* Frames that the kernel has taken in and the thread has not seen. */
static bool has_frames_left(struct capture *capture)
{
  update_stats(capture);
  return capture->seen < capture->stats.received - capture->stats.dropped;
}

/* ---- filters ---------------------------------------------------------------------------------- */

/* not (EXCLUSION) and (FILTER), the exclusion first: a `vlan` changes what stands behind it. */
static char *join_expressions(const char *filter, const char *exclusion)
{
  const char *shape = exclusion[0] == '\0' ? "%s%s" : filter[0] == '\0' ? "not (%s)%s" : "not (%s) and (%s)";
  size_t size = strlen(filter) + strlen(exclusion) + 32;
  char *joined = malloc(size);
  if (joined != NULL)
    snprintf(joined, size, shape, exclusion, filter);
  return joined;
}

/* Compiles what the kernel is to run; false where it cannot be run there. */
static bool compile_for_kernel(struct capture *capture, const char *filter, const char *exclusion,
                               struct bpf_program *program)
{
  if (!capture->is_packet_socket)
    return false;
  char words[PCAP_ERRBUF_SIZE];
  char *joined = join_expressions(filter, exclusion);
  bool is_compiled = joined != NULL && filter_compile_live(program, capture->pcap, joined, words);
  free(joined);
  return is_compiled;
}

static bool attach(struct capture *capture, const struct bpf_program *program)
{
  return filter_attach(pcap.fileno(capture->pcap), program, capture->is_cooked, capture->facts.dlt);
}

/* Gives the kernel an expression; false where it cannot be run there. */
static bool filter_in_kernel(struct capture *capture, const char *filter)
{
  struct bpf_program program;
  if (!compile_for_kernel(capture, filter, "", &program))
    return false;
  bool is_attached = attach(capture, &program);
  pcap.freecode(&program);
  return is_attached;
}

static bool compile_here(struct capture *capture, const char *expression,
                         struct bpf_program *program, struct capture_error *error)
{
  char words[PCAP_ERRBUF_SIZE];
  if (filter_compile(program, capture->facts.dlt, capture->snap_length, expression, words))
    return true;
  fail(error, CAPTURE_ERROR_FILTER, words);
  return false;
}

/*
 * For what the kernel does not run as a whole: it runs what the user asked for, or the thread all of it.
 * The handle is the caller's.
 */
static bool filter_here(struct capture *capture, const char *exclusion,
                        struct bpf_program *user_filter, struct capture_error *error)
{
  if (exclusion[0] != '\0' && filter_in_kernel(capture, capture->filter))
    return true;
  if (capture->filter[0] != '\0' && !compile_here(capture, capture->filter, user_filter, error))
    return false;
  /* Of the kernel only the snaplen is asked. */
  if (!capture->is_packet_socket || filter_in_kernel(capture, ""))
    return true;
  fail(error, PCAP_ERROR, "the kernel takes no filter");
  pcap.freecode(user_filter);
  return false;
}

/*
 * Chooses who filters, the kernel if it can. Programs are compiled without the handle: hundreds of
 * brokers take a second, in which a full ring would drop frames.
 */
static bool set_filters(struct capture *capture, const char *exclusion, struct capture_error *error)
{
  struct bpf_program user_filter = {0};
  struct bpf_program excluding = {0};
  struct bpf_program whole = {0};
  if (exclusion[0] != '\0' && !compile_here(capture, exclusion, &excluding, error))
    return false;
  bool is_compiled = compile_for_kernel(capture, capture->filter, exclusion, &whole);
  use_handle(capture);
  bool is_all_in_kernel = is_compiled && attach(capture, &whole);
  bool is_set = is_all_in_kernel || filter_here(capture, exclusion, &user_filter, error);
  if (is_set) {
    pcap.freecode(&capture->user_filter);
    pcap.freecode(&capture->exclusion);
    capture->user_filter = user_filter;
    capture->exclusion = excluding;
    update_stats(capture);
    capture->exclusion_until =
        is_all_in_kernel
            ? capture->stats.received - capture->stats.dropped + FILTER_SLACK_FRAMES
            : UINT64_MAX;
  } else {
    pcap.freecode(&excluding);
  }
  leave_handle(capture);
  if (is_compiled)
    pcap.freecode(&whole);
  return is_set;
}

bool capture_exclude(struct capture *capture, const char *exclusion, struct capture_error *error)
{
  return capture->pcap == NULL || set_filters(capture, exclusion, error);
}

static bool passes(const struct capture *capture, const struct pcap_pkthdr *header,
                   const u_char *bytes)
{
  if (capture->user_filter.bf_insns != NULL &&
      pcap.offline_filter(&capture->user_filter, header, bytes) == 0)
    return false;
  return capture->exclusion.bf_insns == NULL || capture->seen > capture->exclusion_until ||
         pcap.offline_filter(&capture->exclusion, header, bytes) == 0;
}

/* ---- the thread ------------------------------------------------------------------------------- */

static void put_u32(uint8_t *at, uint32_t value)
{
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
  at[2] = (uint8_t)(value >> 16);
  at[3] = (uint8_t)(value >> 24);
}

static bool has_room(const struct capture *capture)
{
  return capture->buffer.size - capture->used >= capture_least_buffer(capture);
}

static void on_frame(u_char *context, const struct pcap_pkthdr *header, const u_char *bytes)
{
  struct capture *capture = (struct capture *)context;
  capture->seen++;
  if (!passes(capture, header, bytes)) {
    capture->stats.filtered++;
    return;
  }
  /* Never, as far as libpcap keeps to what it was asked for; nothing is written behind the buffer. */
  if (!has_room(capture)) {
    capture->stats.dropped++;
    return;
  }
  uint32_t length = header->caplen;
  if (length > (uint32_t)capture->snap_length)
    length = (uint32_t)capture->snap_length;
  uint8_t *at = capture->buffer.data + capture->used;
  put_u32(at, (uint32_t)header->ts.tv_sec);
  put_u32(at + 4, (uint32_t)header->ts.tv_usec);
  put_u32(at + 8, length);
  put_u32(at + 12, header->len);
  memcpy(at + CAPTURE_HEADER_BYTES, bytes, length);
  capture->used += CAPTURE_HEADER_BYTES + length;
  capture->frames++;
  if (!has_room(capture)) {
    capture->is_full = true;
    pcap.breakloop(capture->pcap);
  }
}

/*
 * A packet socket's loop can be left behind any frame. That of a USB monitor hands on all it has
 * fetched, up to 32 frames: no more are asked for than there is room for.
 */
static int most_frames(const struct capture *capture)
{
  size_t room = (capture->buffer.size - capture->used) / capture_least_buffer(capture);
  return capture->is_packet_socket || room > DISPATCH_FRAMES ? DISPATCH_FRAMES : (int)room;
}

/* Returns how many frames came, 0 when there are none, or PCAP_ERROR and libpcap's words. */
static int take_frames(struct capture *capture, char words[PCAP_ERRBUF_SIZE])
{
  use_handle(capture);
  errno = 0;
  int status = pcap.dispatch(capture->pcap, most_frames(capture), on_frame, (u_char *)capture);
  /* Devices of netfilter (nflog, nfqueue) call it an error that there is nothing to read yet. */
  if (status == PCAP_ERROR && errno == EAGAIN && !capture->is_packet_socket)
    status = 0;
  if (status == PCAP_ERROR)
    snprintf(words, PCAP_ERRBUF_SIZE, "%s", pcap.geterr(capture->pcap));
  if (now_ms() - capture->stats_at_ms > STATS_INTERVAL_MS)
    update_stats(capture);
  leave_handle(capture);
  return status == PCAP_ERROR_BREAK ? 1 : status;
}

static bool take_buffer(struct capture *capture)
{
  pthread_mutex_lock(&capture->queue_lock);
  bool has_one = capture->queue_length > 0;
  if (has_one) {
    capture->buffer = capture->queue[capture->queue_first];
    capture->queue_first = (capture->queue_first + 1) % CAPTURE_QUEUE_LENGTH;
    capture->queue_length--;
  }
  pthread_mutex_unlock(&capture->queue_lock);
  return has_one;
}

static void deliver(struct capture *capture)
{
  size_t used = capture->used;
  uint32_t frames = capture->frames;
  capture->buffer = (struct buffer){0};
  capture->used = 0;
  capture->frames = 0;
  capture->is_full = false;
  capture->sink.deliver(capture->sink.context, used, frames);
}

/*
 * Waits for a buffer or the end, and for frames where those are wanted. Returns true when something
 * may have happened to the device, or nothing has for as long as the limit.
 */
static bool wait_for(struct capture *capture, bool for_frames, int limit_ms)
{
  const struct timeval *required = NULL;
  if (for_frames && pcap.get_required_select_timeout != NULL)
    required = pcap.get_required_select_timeout(capture->pcap);
  if (required != NULL)
    limit_ms = (int)(required->tv_sec * 1000 + (required->tv_usec + 999) / 1000);
  struct pollfd waiting[] = {
      {.fd = capture->wake_fd, .events = POLLIN},
      {.fd = for_frames ? capture->pcap_fd : -1, .events = POLLIN},
  };
  bool is_silent = poll(waiting, 2, limit_ms) == 0;
  uint64_t ignored;
  if (waiting[0].revents != 0 && read(capture->wake_fd, &ignored, sizeof ignored) < 0)
    return false;
  return is_silent || required != NULL || (waiting[1].revents & ~POLLIN) != 0;
}

/* libpcap says when a device is gone, and goes on waiting when it is only down. */
static bool is_gone(const struct capture *capture)
{
  if (!capture->is_packet_socket)
    return false;
  int fd = pcap.fileno(capture->pcap);
  struct sockaddr_ll address;
  socklen_t size = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
    return false;
  if (address.sll_ifindex == 0) /* all of them */
    return false;
  struct ifreq request = {0};
  if (address.sll_ifindex < 0 ||
      if_indextoname((unsigned)address.sll_ifindex, request.ifr_name) == NULL)
    return true;
  return ioctl(fd, SIOCGIFFLAGS, &request) != 0 || (request.ifr_flags & IFF_UP) == 0;
}

/* Frames of a block that the kernel has not handed over yet are worth waiting for. */
static bool is_settled(struct capture *capture, int64_t ended_at_ms)
{
  use_handle(capture);
  bool is_complete = !capture->is_packet_socket || !has_frames_left(capture);
  leave_handle(capture);
  return is_complete || now_ms() - ended_at_ms > SETTLE_MS;
}

static void *run(void *argument)
{
  struct capture *capture = argument;
  enum capture_end end = CAPTURE_STOPPED;
  char words[PCAP_ERRBUF_SIZE] = "";
  int64_t ended_at_ms = 0;
  while (!atomic_load(&capture->is_stopping)) {
    if (capture->buffer.data == NULL && !take_buffer(capture)) {
      wait_for(capture, false, -1);
      continue;
    }
    char error[PCAP_ERRBUF_SIZE] = "";
    int status = take_frames(capture, error);
    if (capture->is_full || (status <= 0 && capture->frames > 0)) {
      deliver(capture);
      continue;
    }
    if (status > 0)
      continue;
    if (end == CAPTURE_STOPPED && status < 0) {
      memcpy(words, error, sizeof words);
      end = is_gone(capture) ? CAPTURE_GONE : CAPTURE_BROKEN;
      ended_at_ms = now_ms();
    }
    if (end != CAPTURE_STOPPED) {
      if (is_settled(capture, ended_at_ms))
        break;
      wait_for(capture, false, 1);
    } else if (wait_for(capture, true, capture->pcap_fd < 0 ? BLOCK_TIMEOUT_MS : IDLE_CHECK_MS) &&
               is_gone(capture)) {
      snprintf(words, sizeof words, "The interface went down");
      end = CAPTURE_GONE;
      ended_at_ms = now_ms();
    }
  }
  if (capture->frames > 0)
    deliver(capture);
  capture->sink.end(capture->sink.context, end, words);
  return NULL;
}

/* ---- from start to end ------------------------------------------------------------------------ */

static void discard(u_char *context, const struct pcap_pkthdr *header, const u_char *bytes)
{
  (void)context;
  (void)header;
  (void)bytes;
}

/* Throws away what came between activation and the filter that rejects all. */
static void drain(struct capture *capture)
{
  uint32_t drained = 0;
  int64_t began_at_ms = now_ms();
  for (;;) {
    int status = pcap.dispatch(capture->pcap, DISPATCH_FRAMES, discard, NULL);
    if (status < 0)
      return; /* the thread will meet it again */
    drained += (uint32_t)status;
    if (status > 0)
      continue;
    update_stats(capture);
    uint32_t taken_in = capture->last_stat.ps_recv - capture->last_stat.ps_drop;
    if (!capture->is_packet_socket || taken_in <= drained || now_ms() - began_at_ms > SETTLE_MS)
      return;
    struct pollfd waiting = {.fd = capture->pcap_fd, .events = POLLIN};
    poll(&waiting, 1, 1);
  }
}

/* The thread takes no signals: those are the program's. */
static int create_thread(struct capture *capture)
{
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failure = pthread_create(&capture->thread, NULL, run, capture);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failure;
}

bool capture_start(struct capture *capture, const char *filter, const char *exclusion,
                   const struct capture_sink *sink, struct capture_error *error)
{
  capture->sink = *sink;
  free(capture->filter);
  capture->filter = strdup(filter);
  if (capture->filter == NULL) {
    fail(error, PCAP_ERROR, "out of memory");
    return false;
  }
  drain(capture);
  update_stats(capture);
  capture->stats = (struct capture_stats){0};
  if (!set_filters(capture, exclusion, error))
    return false;
  int failure = create_thread(capture);
  if (failure != 0) {
    fail(error, PCAP_ERROR, strerror(failure));
    return false;
  }
  capture->has_thread = true;
  return true;
}

static void wake(const struct capture *capture)
{
  uint64_t one = 1;
  /* Fails only when it is awake already. */
  if (write(capture->wake_fd, &one, sizeof one) < 0)
    return;
}

bool capture_give(struct capture *capture, uint8_t *data, size_t size)
{
  pthread_mutex_lock(&capture->queue_lock);
  unsigned length = capture->queue_length;
  if (length < CAPTURE_QUEUE_LENGTH) {
    unsigned last = (capture->queue_first + length) % CAPTURE_QUEUE_LENGTH;
    capture->queue[last] = (struct buffer){data, size};
    capture->queue_length++;
  }
  pthread_mutex_unlock(&capture->queue_lock);
  if (length == 0)
    wake(capture);
  return length < CAPTURE_QUEUE_LENGTH;
}

void capture_stop(struct capture *capture)
{
  if (capture->has_thread) {
    atomic_store(&capture->is_stopping, true);
    wake(capture);
    pthread_join(capture->thread, NULL);
    update_stats(capture);
    capture->has_thread = false;
  }
  if (capture->pcap == NULL)
    return;
  pcap.freecode(&capture->user_filter);
  pcap.freecode(&capture->exclusion);
  pcap.close(capture->pcap);
  capture->pcap = NULL;
}

void capture_free(struct capture *capture)
{
  capture_stop(capture);
  if (capture->wake_fd >= 0)
    close(capture->wake_fd);
  free(capture->filter);
  pthread_mutex_destroy(&capture->gate);
  pthread_mutex_destroy(&capture->handle);
  pthread_mutex_destroy(&capture->queue_lock);
  free(capture);
}
