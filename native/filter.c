#include "filter.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Before libpcap 1.8 its compiler has global state. */
static pthread_mutex_t compiler = PTHREAD_MUTEX_INITIALIZER;

static bool compile(struct bpf_program *program, pcap_t *handle, const char *expression,
                    char error[PCAP_ERRBUF_SIZE])
{
  pthread_mutex_lock(&compiler);
  bool is_compiled = pcap.compile(handle, program, expression, 1, PCAP_NETMASK_UNKNOWN) == 0;
  if (!is_compiled)
    snprintf(error, PCAP_ERRBUF_SIZE, "%s", pcap.geterr(handle));
  pthread_mutex_unlock(&compiler);
  return is_compiled;
}

/* Loads that mean something beside the frame: SKF_AD_…, which only the kernel has. */
static bool is_metadata(uint32_t position)
{
  return position >= (uint32_t)SKF_AD_OFF;
}

static bool is_frame_load(const struct bpf_insn *step)
{
  int kind = BPF_CLASS(step->code);
  int mode = BPF_MODE(step->code);
  return (kind == BPF_LD || kind == BPF_LDX) &&
         (mode == BPF_ABS || mode == BPF_IND || mode == BPF_MSH);
}

bool filter_compile(struct bpf_program *program, int dlt, int snap_length, const char *expression,
                    char error[PCAP_ERRBUF_SIZE])
{
  pcap_t *dead = pcap.open_dead(dlt, snap_length);
  if (dead == NULL) {
    snprintf(error, PCAP_ERRBUF_SIZE, "out of memory");
    return false;
  }
  bool is_compiled = compile(program, dead, expression, error);
  pcap.close(dead);
  if (!is_compiled)
    return false;
  for (u_int n = 0; n < program->bf_len; n++) {
    if (!is_frame_load(&program->bf_insns[n]) || !is_metadata(program->bf_insns[n].k))
      continue;
    /* libpcap takes every handle that is no file for an interface. */
    snprintf(error, PCAP_ERRBUF_SIZE, "it asks for what only a live capture knows, such as inbound");
    pcap.freecode(program);
    return false;
  }
  return true;
}

bool filter_compile_live(struct bpf_program *program, pcap_t *handle, const char *expression,
                         char error[PCAP_ERRBUF_SIZE])
{
  return compile(program, handle, expression, error);
}

static uint32_t read_u32(const uint8_t *at, bool is_big_endian)
{
  return is_big_endian ? (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3]
                       : (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

long filter_match_records(const struct bpf_program *program, const uint8_t *bytes, size_t size,
                          uint32_t frame_count, bool is_big_endian, uint8_t *verdicts)
{
  long matching = 0;
  size_t at = 0;
  for (uint32_t n = 0; n < frame_count; n++) {
    if (size - at < 16)
      return -1;
    struct pcap_pkthdr header = {
        .caplen = read_u32(bytes + at + 8, is_big_endian),
        .len = read_u32(bytes + at + 12, is_big_endian),
    };
    at += 16;
    if (size - at < header.caplen)
      return -1;
    verdicts[n] = pcap.offline_filter(program, &header, bytes + at) != 0;
    matching += verdicts[n];
    at += header.caplen;
  }
  return matching;
}

/* A field of a cooked header: where it stands, and the kernel's name for it. */
struct cooked_field {
  uint32_t position;
  int size;
  int metadata;
};
static const struct cooked_field SLL_FIELDS[] = {
    {0, BPF_H, SKF_AD_PKTTYPE}, {14, BPF_H, SKF_AD_PROTOCOL}, {0, -1, 0}};
static const struct cooked_field SLL2_FIELDS[] = {{0, BPF_H, SKF_AD_PROTOCOL},
                                                  {4, BPF_W, SKF_AD_IFINDEX},
                                                  {8, BPF_H, SKF_AD_HATYPE},
                                                  {10, BPF_B, SKF_AD_PKTTYPE},
                                                  {0, -1, 0}};

/*
 * A program for cooked frames reads a header that libpcap makes later. What stands there is beside
 * the frame for the kernel, and what follows begins at 0. Returns false for a field it does not have.
 */
static bool move_cooked_load(struct sock_filter *step, int dlt)
{
  bool is_sll2 = dlt == DLT_LINUX_SLL2;
  uint32_t header_bytes = is_sll2 ? 20 : 16;
  if (is_metadata(step->k))
    return true;
  if (step->k >= header_bytes) {
    step->k -= header_bytes;
    return true;
  }
  const struct cooked_field *field = is_sll2 ? SLL2_FIELDS : SLL_FIELDS;
  while (field->size != -1 && (field->position != step->k || field->size != BPF_SIZE(step->code)))
    field++;
  if (field->size == -1 || BPF_MODE(step->code) != BPF_ABS)
    return false;
  step->k = (uint32_t)(SKF_AD_OFF + field->metadata);
  return true;
}

static bool attach(int packet_socket, struct sock_filter *steps, size_t count)
{
  struct sock_fprog program = {.len = (unsigned short)count, .filter = steps};
  return setsockopt(packet_socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

bool filter_attach_reject_all(int packet_socket)
{
  struct sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
  return attach(packet_socket, &reject, 1);
}

bool filter_attach(int packet_socket, const struct bpf_program *program, bool is_cooked, int dlt)
{
  const struct sock_filter without_echo[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 5),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_IFINDEX),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, if_nametoindex("lo"), 2, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_AD_OFF + SKF_AD_HATYPE),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPHRD_CAN, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  const size_t first = sizeof without_echo / sizeof *without_echo;
  const size_t count = first + program->bf_len;
  if (count > BPF_MAXINSNS)
    return false;
  struct sock_filter *steps = malloc(count * sizeof *steps);
  if (steps == NULL)
    return false;
  memcpy(steps, without_echo, sizeof without_echo);
  bool is_possible = true;
  for (u_int n = 0; n < program->bf_len; n++) {
    const struct bpf_insn *from = &program->bf_insns[n];
    struct sock_filter *to = &steps[first + n];
    *to = (struct sock_filter){.code = from->code, .jt = from->jt, .jf = from->jf, .k = from->k};
    if (is_cooked && is_frame_load(from))
      is_possible = is_possible && move_cooked_load(to, dlt);
  }
  is_possible = is_possible && attach(packet_socket, steps, count);
  free(steps);
  return is_possible;
}
