#include "interfaces.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

bool address_text(const struct sockaddr *address, char text[ADDRESS_TEXT_BYTES])
{
  if (address == NULL)
    return false;
  const void *bytes = NULL;
  struct sockaddr_in ip4;
  struct sockaddr_in6 ip6;
  if (address->sa_family == AF_INET) {
    memcpy(&ip4, address, sizeof ip4);
    bytes = &ip4.sin_addr;
  } else if (address->sa_family == AF_INET6) {
    memcpy(&ip6, address, sizeof ip6);
    bytes = &ip6.sin6_addr;
  }
  return bytes != NULL && inet_ntop(address->sa_family, bytes, text, ADDRESS_TEXT_BYTES) != NULL;
}

const char *connection_status(unsigned flags)
{
#ifdef PCAP_IF_CONNECTION_STATUS
  switch (flags & PCAP_IF_CONNECTION_STATUS) {
  case PCAP_IF_CONNECTION_STATUS_CONNECTED:
    return "connected";
  case PCAP_IF_CONNECTION_STATUS_DISCONNECTED:
    return "disconnected";
  case PCAP_IF_CONNECTION_STATUS_NOT_APPLICABLE:
    return "not applicable";
  }
#else
  (void)flags;
#endif
  return "unknown";
}
