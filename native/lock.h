/* A lock on a directory that every process of the machine sees, which Node has not. */
#ifndef PCAPTS_LOCK_H
#define PCAPTS_LOCK_H

/*
 * Locks a directory with flock(2) until the descriptor is closed, or the process is gone; programs that
 * are started meanwhile do not keep it.
 *
 *   fd       set on success
 *   returns  0, or an errno; EWOULDBLOCK when another process has it; never waits
 */
int lock_directory(const char *path, int *fd);

#endif
