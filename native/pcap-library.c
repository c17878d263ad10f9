#include "pcap-library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "glibc-floor.h"

struct pcap_library pcap;

/* Upstream's name, Debian's, and what a development package leaves. */
static const char *const LIBRARY_NAMES[] = {"libpcap.so.1", "libpcap.so.0.8", "libpcap.so"};
enum { LIBRARY_NAME_COUNT = sizeof LIBRARY_NAMES / sizeof *LIBRARY_NAMES };

static pthread_mutex_t load_lock = PTHREAD_MUTEX_INITIALIZER;
static void *library;
static char failure[512];

/* A pointer to a function does not convert from void * in ISO C; its bytes do. */
static bool find(void *target, const char *name, bool is_needed)
{
  void *symbol = dlsym(library, name);
  memcpy(target, &symbol, sizeof symbol);
  if (symbol != NULL || !is_needed)
    return true;
  snprintf(failure, sizeof failure, "libpcap is too old: it has no %s", name);
  return false;
}

static bool load(void)
{
  for (int n = 0; n < LIBRARY_NAME_COUNT && library == NULL; n++) {
    library = dlopen(LIBRARY_NAMES[n], RTLD_NOW | RTLD_LOCAL);
    /* The first name's reason: the others only say that there is no such file either. */
    if (library == NULL && n == 0)
      snprintf(failure, sizeof failure, "%s", dlerror());
  }
  if (library == NULL)
    return false;
#define FIND_NEEDED(result, name, arguments) && find(&pcap.name, "pcap_" #name, true)
#define FIND_OPTIONAL(result, name, arguments) && find(&pcap.name, "pcap_" #name, false)
  if (true PCAP_FUNCTIONS(FIND_NEEDED, FIND_OPTIONAL))
    return true;
  dlclose(library);
  library = NULL;
  return false;
}

const char *pcap_library_load(void)
{
  pthread_mutex_lock(&load_lock);
  bool is_loaded = library != NULL || load();
  pthread_mutex_unlock(&load_lock);
  return is_loaded ? NULL : failure;
}
