/*
 * libpcap, found when the program runs: one build serves every distribution, whichever name its
 * libpcap has, and a machine without one gets a sentence instead of a loader's error.
 */
#ifndef PCAPTS_PCAP_LIBRARY_H
#define PCAPTS_PCAP_LIBRARY_H

#include <pcap/pcap.h>

/* NEEDED: in every libpcap since 1.0. OPTIONAL: newer; NULL where this libpcap has none. */
#define PCAP_FUNCTIONS(NEEDED, OPTIONAL)                                                           \
  NEEDED(int, activate, (pcap_t *))                                                                \
  NEEDED(void, breakloop, (pcap_t *))                                                              \
  NEEDED(void, close, (pcap_t *))                                                                  \
  NEEDED(int, compile, (pcap_t *, struct bpf_program *, const char *, int, bpf_u_int32))           \
  NEEDED(pcap_t *, create, (const char *, char *))                                                 \
  NEEDED(int, datalink, (pcap_t *))                                                                \
  NEEDED(const char *, datalink_val_to_description, (int))                                         \
  NEEDED(const char *, datalink_val_to_name, (int))                                                \
  NEEDED(int, dispatch, (pcap_t *, int, pcap_handler, u_char *))                                   \
  NEEDED(int, fileno, (pcap_t *))                                                                  \
  NEEDED(int, findalldevs, (pcap_if_t **, char *))                                                 \
  NEEDED(void, free_datalinks, (int *))                                                            \
  NEEDED(void, freealldevs, (pcap_if_t *))                                                         \
  NEEDED(void, freecode, (struct bpf_program *))                                                   \
  NEEDED(int, get_selectable_fd, (pcap_t *))                                                       \
  NEEDED(char *, geterr, (pcap_t *))                                                               \
  NEEDED(const char *, lib_version, (void))                                                        \
  NEEDED(int, list_datalinks, (pcap_t *, int **))                                                  \
  NEEDED(int, offline_filter, (const struct bpf_program *, const struct pcap_pkthdr *, const u_char *)) \
  NEEDED(pcap_t *, open_dead, (int, int))                                                          \
  NEEDED(int, set_buffer_size, (pcap_t *, int))                                                    \
  NEEDED(int, set_datalink, (pcap_t *, int))                                                       \
  NEEDED(int, set_promisc, (pcap_t *, int))                                                        \
  NEEDED(int, set_snaplen, (pcap_t *, int))                                                        \
  NEEDED(int, set_timeout, (pcap_t *, int))                                                        \
  NEEDED(int, setnonblock, (pcap_t *, int, char *))                                                \
  NEEDED(int, stats, (pcap_t *, struct pcap_stat *))                                               \
  NEEDED(const char *, statustostr, (int))                                                         \
  OPTIONAL(void, free_tstamp_types, (int *))                                                       \
  OPTIONAL(const struct timeval *, get_required_select_timeout, (pcap_t *))                        \
  OPTIONAL(int, get_tstamp_precision, (pcap_t *))                                                  \
  OPTIONAL(int, list_tstamp_types, (pcap_t *, int **))                                             \
  OPTIONAL(int, set_immediate_mode, (pcap_t *, int))                                               \
  OPTIONAL(int, set_tstamp_precision, (pcap_t *, int))                                             \
  OPTIONAL(int, set_tstamp_type, (pcap_t *, int))                                                  \
  OPTIONAL(const char *, tstamp_type_val_to_description, (int))                                    \
  OPTIONAL(const char *, tstamp_type_val_to_name, (int))                                           \
  OPTIONAL(int, tstamp_type_name_to_val, (const char *))

#define PCAP_FUNCTION_MEMBER(result, name, arguments) result(*name) arguments;

/* pcap.open_dead(…) is pcap_open_dead(…). Empty until pcap_library_load() has returned NULL. */
struct pcap_library {
  PCAP_FUNCTIONS(PCAP_FUNCTION_MEMBER, PCAP_FUNCTION_MEMBER)
};
extern struct pcap_library pcap;

/* Loads libpcap once for the process. Returns NULL, or why it cannot be used. Any thread. */
const char *pcap_library_load(void);

#endif
