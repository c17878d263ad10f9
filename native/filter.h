/* Filter programs: compiled from libpcap's expressions, run over frames here or in the kernel. */
#ifndef PCAPTS_FILTER_H
#define PCAPTS_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "pcap-library.h"

/*
 * Compiles for frames as they stand in a file: nothing that only the kernel knows of a frame is
 * looked at. On failure returns false, with libpcap's words in `error`.
 */
bool filter_compile(struct bpf_program *program, int dlt, int snap_length, const char *expression,
                    char error[PCAP_ERRBUF_SIZE]);

/* Compiles for the kernel of an open interface, where VLAN tags and directions are beside the frame. */
bool filter_compile_live(struct bpf_program *program, pcap_t *handle, const char *expression,
                         char error[PCAP_ERRBUF_SIZE]);

/*
 * Runs a program over records of a pcap file: verdicts[n] is 1 when frame n matches, else 0. Returns how many
 * match, or -1 when the records end before `frame_count` frames do.
 */
long filter_match_records(const struct bpf_program *program, const uint8_t *bytes, size_t size,
                          uint32_t frame_count, bool is_big_endian, uint8_t *verdicts);

/*
 * Has the kernel accept for a packet socket what the program accepts. Frames that a loopback or CAN
 * device sends are left out: they come back as received ones, and libpcap would skip the first
 * without counting it. The change is atomic: each frame is judged by the old program or by the new one.
 *
 * is_cooked: programs are compiled for LINUX_SLL or LINUX_SLL2 headers, which the kernel does not see.
 * Returns false where the kernel cannot run it, with the old one still in place.
 */
bool filter_attach(int packet_socket, const struct bpf_program *program, bool is_cooked, int dlt);

/* Has the kernel accept nothing. */
bool filter_attach_reject_all(int packet_socket);

#endif
