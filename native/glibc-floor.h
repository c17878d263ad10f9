/*
 * glibc 2.34 moved these functions into libc.so.6 under a new version, and a build on it would ask
 * for that version. The old ones are still there: with them the build runs from glibc 2.28 on. musl
 * knows no versions.
 */
#ifndef PCAPTS_GLIBC_FLOOR_H
#define PCAPTS_GLIBC_FLOOR_H

#include <features.h>

#ifdef __GLIBC__
#if defined(__x86_64__)
#define GLIBC_FIRST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define GLIBC_FIRST "GLIBC_2.17"
#endif
#endif

#ifdef GLIBC_FIRST
#define GLIBC_FLOOR(name) __asm__(".symver " #name "," #name "@" GLIBC_FIRST)
GLIBC_FLOOR(dlclose);
GLIBC_FLOOR(dlerror);
GLIBC_FLOOR(dlopen);
GLIBC_FLOOR(dlsym);
GLIBC_FLOOR(pthread_create);
GLIBC_FLOOR(pthread_join);
GLIBC_FLOOR(pthread_sigmask);
#endif

#endif
