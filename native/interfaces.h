/* What libpcap says of an interface, in words. */
#ifndef PCAPTS_INTERFACES_H
#define PCAPTS_INTERFACES_H

#include <stdbool.h>

#include "pcap-library.h"

/* Longest text of an address. */
#define ADDRESS_TEXT_BYTES 64

/* Writes an IPv4 or IPv6 address; returns false for those of other kinds. */
bool address_text(const struct sockaddr *address, char text[ADDRESS_TEXT_BYTES]);

/* Whether an interface has a network: "connected", "disconnected", "not applicable" or "unknown". */
const char *connection_status(unsigned flags);

#endif
