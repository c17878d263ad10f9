/* One message to a service manager's socket, which Node cannot reach: it has no Unix datagrams. */
#ifndef PCAPTS_NOTIFY_H
#define PCAPTS_NOTIFY_H

/*
 * Sends text as one datagram to a Unix socket.
 *
 *   address  a path, or a name in the abstract namespace behind an @, as in $NOTIFY_SOCKET
 *   returns  0, or an errno; never waits
 */
int notify_send(const char *address, const char *text);

#endif
