#define _GNU_SOURCE
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int notify_send(const char *address, const char *text)
{
  struct sockaddr_un target = {.sun_family = AF_UNIX};
  size_t length = strlen(address);
  if (length == 0)
    return EINVAL;
  if (length >= sizeof target.sun_path)
    return ENAMETOOLONG;
  memcpy(target.sun_path, address, length);
  /* An abstract name begins with a NUL byte and ends with its length. */
  if (target.sun_path[0] == '@')
    target.sun_path[0] = '\0';
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);

  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return errno;
  ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
                        (const struct sockaddr *)&target, size);
  int failure = sent < 0 ? errno : 0;
  close(fd);
  return failure;
}
