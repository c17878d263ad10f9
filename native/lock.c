#define _GNU_SOURCE
#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

int lock_directory(const char *path, int *fd)
{
  *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*fd < 0)
    return errno;
  if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
    return 0;
  int failure = errno;
  close(*fd);
  return failure;
}
