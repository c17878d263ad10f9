/*
 * A disk that fails, for programs that are started with it as LD_PRELOAD: calls on files whose path has
 * DISK_FAULT_PATH in it fail as the file DISK_FAULT_SWITCH says ("write EIO"), from when it is there
 * until it is not. All other calls are the system's.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Without the functions below: they would ask this one again. */
static int is_at_fault(const char *call, int fd) {
  const char *part = getenv("DISK_FAULT_PATH");
  const char *said = getenv("DISK_FAULT_SWITCH");
  if (part == NULL || said == NULL) return 0;
  char link[64];
  char path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (strstr(path, part) == NULL) return 0;
  int file = open(said, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char fault[64] = "";
  ssize_t count = syscall(SYS_read, file, fault, sizeof fault - 1);
  close(file);
  size_t name = strlen(call);
  if (count <= 0 || strncmp(fault, call, name) != 0 || fault[name] != ' ') return 0;
  errno = strncmp(fault + name + 1, "ENOSPC", 6) == 0 ? ENOSPC : EIO;
  return 1;
}

#define FAULTY(result, name, call, parameters, arguments)          \
  result name parameters {                                         \
    static result(*real) parameters;                               \
    if (is_at_fault(call, fd)) return -1;                          \
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name);   \
    return real arguments;                                         \
  }

FAULTY(ssize_t, write, "write", (int fd, const void *bytes, size_t count), (fd, bytes, count))
FAULTY(ssize_t, pwrite, "write", (int fd, const void *bytes, size_t count, off_t at), (fd, bytes, count, at))
FAULTY(ssize_t, pwrite64, "write", (int fd, const void *bytes, size_t count, off64_t at), (fd, bytes, count, at))
FAULTY(ssize_t, writev, "write", (int fd, const struct iovec *parts, int count), (fd, parts, count))
FAULTY(ssize_t, pwritev, "write", (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
FAULTY(ssize_t, pwritev64, "write", (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
FAULTY(ssize_t, read, "read", (int fd, void *bytes, size_t count), (fd, bytes, count))
FAULTY(ssize_t, pread, "read", (int fd, void *bytes, size_t count, off_t at), (fd, bytes, count, at))
FAULTY(ssize_t, pread64, "read", (int fd, void *bytes, size_t count, off64_t at), (fd, bytes, count, at))
FAULTY(ssize_t, preadv, "read", (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
FAULTY(ssize_t, preadv64, "read", (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
FAULTY(int, fsync, "sync", (int fd), (fd))
FAULTY(int, fdatasync, "sync", (int fd), (fd))
